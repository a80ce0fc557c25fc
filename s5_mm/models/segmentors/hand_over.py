"""From the decoder of one data set to those of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from s5_mm.checkpoints.loading import CheckpointError

_SINGLE = 'decode_head.'
_SEVERAL = 'decode_heads.'
_CLASSIFIER = 'conv_seg.'


def hand_over_decoder(
    state: dict[str, Tensor],
    prefix: str,
    heads: Mapping[str, nn.Module],
    mismatch: Literal['raise', 'skip'],
) -> list[str]:
    """Let a checkpoint of one decoder, or of other data sets, fill several.

    The body of a ``decode_head`` (S4P, or any segmentor) is copied to every head, as
    the release does; the classifiers belong to other classes and stay new.

    Args:
        state: Tensors by the model's names; changed in place.
        prefix: What precedes the model's own names.
        heads: The decode heads by data set.
        mismatch: What to do if a checkpoint of several data sets lacks some of these.

    Returns:
        What was done, for the log.

    Raises:
        CheckpointError: The checkpoint's decode heads are those of other data sets.
    """
    several = f'{prefix}{_SEVERAL}'
    stored = dict.fromkeys(
        name[len(several) :].split('.')[0] for name in state if name.startswith(several)
    )
    if stored:
        missing = [name for name in heads if name not in stored]
        if missing and mismatch == 'raise':
            raise CheckpointError(
                f'it holds decode heads for {list(stored)}, none for {missing}; to '
                'load what matches and start the rest anew: '
                "CheckpointFitHook(mismatch='skip')"
            )
        return []
    single = f'{prefix}{_SINGLE}'
    body = [
        name
        for name in state
        if name.startswith(single) and not name[len(single) :].startswith(_CLASSIFIER)
    ]
    for name in body:
        tensor = state.pop(name)
        for dataset in heads:
            state[f'{several}{dataset}.{name[len(single) :]}'] = tensor.clone()
    if not body:
        return []
    return [
        f'its decoder was handed to each of {list(heads)}; their class layers '
        '(conv_seg) are new'
    ]
