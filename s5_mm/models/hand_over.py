"""From the decoder of one data set to those of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor

from s5_mm.checkpoints.errors import SKIP_OPTION, CheckpointError


def hand_over(
    state: dict[str, Tensor],
    prefix: str,
    datasets: Sequence[str],
    mismatch: Literal['raise', 'skip'],
    *,
    parts: Mapping[str, str],
    several: str,
    classifiers: Sequence[str],
) -> list[str]:
    """Let a checkpoint of one decoder, or of other data sets, fill several.

    The body of a decoder (S4P's, or any model's of one data set) is copied to each
    data set's, as the release does; the classifiers belong to other classes and stay
    new.

    Args:
        state: Tensors by the model's names; changed in place.
        prefix: What precedes the model's own names.
        datasets: Names of the data sets.
        mismatch: What to do if a checkpoint of several data sets lacks some of these.
        parts: Start of the names of a single decoder -> what follows a data set's
            name instead, e.g. ``{'decode_head.': ''}``.
        several: Start of the names of the data sets' decoders.
        classifiers: Layers, by their names with a dot, that depend on the classes.

    Returns:
        What was done, for the log.

    Raises:
        CheckpointError: The checkpoint's decoders are those of other data sets.
    """
    start = f'{prefix}{several}'
    stored = dict.fromkeys(
        name[len(start) :].split('.')[0] for name in state if name.startswith(start)
    )
    if stored:
        missing = [name for name in datasets if name not in stored]
        if missing and mismatch == 'raise':
            raise CheckpointError(
                f'it holds {several.rstrip(".")} for {list(stored)}, none for '
                f'{missing}; to load what matches and start the rest anew: '
                f'{SKIP_OPTION}'
            )
        return []
    layers = [f'.{layer}' for layer in classifiers]
    body: dict[str, str] = {}
    found: list[str] = []
    for single, instead in parts.items():
        own = [name for name in state if name.startswith(f'{prefix}{single}')]
        for name in own:
            rest = name[len(prefix) + len(single) :]
            if not any(layer in f'.{rest}' for layer in layers):
                body[name] = f'{instead}{rest}'
        if own:
            found.append(single.rstrip('.'))
    for name, rest in body.items():
        tensor = state.pop(name)
        for dataset in datasets:
            state[f'{start}{dataset}.{rest}'] = tensor.clone()
    if not body:
        return []
    return [
        f'its {", ".join(found)} was handed to each of {list(datasets)}; their class '
        f'layers ({", ".join(layer.strip(".") for layer in layers)}) are new'
    ]
