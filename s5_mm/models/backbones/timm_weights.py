"""Weights of timm's models, fitted to a feature extractor of timm."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from torch import Tensor, nn

from s5_mm.checkpoints.efficientnet_keys import (
    is_efficientnet_pytorch,
    rename_efficientnet,
)
from s5_mm.checkpoints.errors import CheckpointError
from s5_mm.checkpoints.keys import plain_names, summarise_keys

# A counter that files of old versions lack; nothing depends on it.
_COUNTER = 'num_batches_tracked'


def fit_timm_weights(
    found: Mapping[str, Tensor],
    full: nn.Module,
    wanted: Mapping[str, Tensor],
    model_name: str,
) -> tuple[dict[str, Tensor], list[str]]:
    """Translate weights of a whole model to the names of its feature extractor.

    Args:
        found: Tensors by the names in the file.
        full: timm's model with its classifier.
        wanted: State dict of the feature extractor.
        model_name: For messages.

    Returns:
        Tensors by the extractor's names, and remarks for the log.

    Raises:
        CheckpointError: A tensor is missing, unknown to the model, or of another shape.
    """
    names = plain_names(found)
    state = {names[name]: tensor for name, tensor in found.items()}
    reference = full.state_dict()
    if is_efficientnet_pytorch(state):
        new = rename_efficientnet(state, reference)
        state = {new[name]: tensor for name, tensor in state.items()}
    else:
        adapt = getattr(
            sys.modules[type(full).__module__], 'checkpoint_filter_fn', None
        )
        if adapt is not None:
            state = adapt(state, full)
    places = {name: _place(name, wanted) for name in reference}
    used = {name: new for name, new in places.items() if new is not None}
    missing = [n for n in used if n not in state and not n.endswith(_COUNTER)]
    unknown = [n for n in state if n not in reference]
    wrong = [
        f'{n} is {tuple(state[n].shape)}, not {tuple(wanted[used[n]].shape)}'
        for n in used
        if n in state and state[n].shape != wanted[used[n]].shape
    ]
    differences = [
        text
        for text, items in (
            (f'lacks {summarise_keys(missing)}', missing),
            (f'has also {summarise_keys(unknown)}', unknown),
            ('; '.join(wrong[:3]), wrong),
        )
        if items
    ]
    if differences:
        raise CheckpointError(
            f'not weights of timm.{model_name}: {"; ".join(differences)}'
        )
    dropped = [name for name in state if name not in used]
    notes = [f'not part of the backbone: {summarise_keys(dropped)}'] if dropped else []
    return {used[name]: state[name] for name in used if name in state}, notes


def _place(name: str, wanted: Mapping[str, Tensor]) -> str | None:
    """Name in the extractor of a parameter of the whole model, None without one.

    timm keeps the names (EfficientNet), joins the first two parts (``stages_0.``) or
    puts ``model.`` or ``body.`` before them.
    """
    for new in (name, name.replace('.', '_', 1), f'model.{name}', f'body.{name}'):
        if new in wanted:
            return new
    return None
