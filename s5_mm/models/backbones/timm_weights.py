"""Weights of timm's models, fitted to a feature extractor of timm."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping

from torch import Tensor, nn

from s5_mm.checkpoints.efficientnet_keys import (
    is_efficientnet_pytorch,
    rename_efficientnet,
)
from s5_mm.checkpoints.errors import CheckpointError
from s5_mm.checkpoints.foreign_parts import IGNORABLE
from s5_mm.checkpoints.keys import plain_names, summarise_keys

# What files of old versions lack, and nothing depends on.
_COUNTER = 'num_batches_tracked'
# What timm's own translation raises on the weights of another model.
_NOT_ADAPTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def place_of(name: str, wanted: Collection[str]) -> str | None:
    """Find the name in an extractor of a parameter of the whole model.

    timm keeps the names (EfficientNet), joins the first two parts (``stages_0.``) or
    puts ``model.`` or ``body.`` before them.

    Args:
        name: Name in the whole model.
        wanted: Names in the extractor.

    Returns:
        The name, or None where the extractor has no such parameter.
    """
    candidates = (name, name.replace('.', '_', 1), f'model.{name}', f'body.{name}')
    return next((new for new in candidates if new in wanted), None)


def to_extractor_names(
    found: Mapping[str, Tensor], whole: nn.Module, wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Translate weights of a whole model into the names of its extractor.

    Names of efficientnet_pytorch and those that timm itself translates
    (``checkpoint_filter_fn``, which also fits position embeddings to the size of the
    image) are recognised.

    Args:
        found: Tensors by the names in the file.
        whole: timm's model with its classifier.
        wanted: State dict of the extractor.

    Returns:
        Tensors by the extractor's names; what has no place keeps its own.
    """
    plain = plain_names(found)
    state = {plain[name]: tensor for name, tensor in found.items()}
    if wanted.keys() <= state.keys():
        return state
    if is_efficientnet_pytorch(state):
        timm_names = rename_efficientnet(state, whole.state_dict())
        state = {timm_names[name]: tensor for name, tensor in state.items()}
    else:
        state = _adapt(state, whole)
    return {place_of(name, wanted) or name: tensor for name, tensor in state.items()}


def _adapt(state: dict[str, Tensor], whole: nn.Module) -> dict[str, Tensor]:
    """Let timm's own translation of other people's names see the weights."""
    module = sys.modules[type(whole).__module__]
    adapt = getattr(module, 'checkpoint_filter_fn', None)
    if adapt is None:
        return state
    try:
        return dict(adapt(dict(state), whole))
    except _NOT_ADAPTED:
        return state


def check_weights(
    state: Mapping[str, Tensor],
    whole: nn.Module,
    wanted: Mapping[str, Tensor],
    model_name: str,
) -> list[str]:
    """Refuse weights that are not those of a model.

    Args:
        state: Tensors, of :func:`to_extractor_names`.
        whole: timm's model with its classifier.
        wanted: State dict of the extractor.
        model_name: For the message.

    Returns:
        Names of tensors that the extractor has no place for: of the classifier, or of
        stages that no map needs.

    Raises:
        CheckpointError: A tensor is missing, unknown or of another shape.
    """
    known = {*wanted}
    for name in whole.state_dict():
        known |= {name, name.replace('.', '_', 1), f'model.{name}', f'body.{name}'}
    missing = [n for n in wanted if n not in state and not n.endswith(_COUNTER)]
    dropped = [name for name in state if name not in wanted]
    unknown = [n for n in dropped if n not in known and not IGNORABLE.match(n)]
    shapes = {
        name: (tuple(tensor.shape), tuple(wanted[name].shape))
        for name, tensor in state.items()
        if name in wanted and tensor.shape != wanted[name].shape
    }
    differences = []
    if missing:
        differences.append(f'{len(missing)} tensors are missing ({_brief(missing)})')
    if unknown:
        differences.append(f'{len(unknown)} are unknown ({_brief(unknown)})')
    if shapes:
        name, (there, here) = next(iter(shapes.items()))
        differences.append(
            f'{len(shapes)} have another shape ({name}: found {there}, allowed {here})'
        )
    if differences:
        raise CheckpointError(
            f"not weights of timm's {model_name}: {', '.join(differences)}"
        )
    return dropped


def _brief(names: list[str]) -> str:
    """Name the first of several tensors."""
    return summarise_keys(names[:2]) + (', ...' if len(names) > 2 else '')
