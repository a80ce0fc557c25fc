"""The classes that a detector's weights were trained for, against those of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from .class_order import reorder_classes
from .errors import SKIP_OPTION, CheckpointError


def match_classes(
    state: Mapping[str, Tensor],
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
    source_name: str,
    mismatch: Literal['raise', 'skip'] = 'raise',
) -> tuple[dict[str, Tensor], list[str]]:
    """Bring class layers into the order of the data, or say that they do not fit.

    As many classes of other names, or in another order, load without a word and call
    ships planes.  What was trained on a data set of the same name is compared with it,
    and a detector of one data set with the only one that there is.

    Args:
        state: Tensors of the checkpoint, by their names in it.
        stored: ``meta`` of the checkpoint: its ``dataset_meta`` (mmengine), or
            ``CLASSES`` (mmcv 1).
        wanted: Meta information of the data, with ``classes`` and, for several data
            sets, ``datasets``.
        source_name: File, for messages.
        mismatch: What to do with the class layers of other classes: 'raise', or 'skip'
            them, so that they start anew.

    Returns:
        The tensors, and what was done, for the log.

    Raises:
        CheckpointError: The classes are others.
    """
    info = stored.get('dataset_meta') or {'classes': stored.get('CLASSES')}
    found, needed = _by_name(info), _by_name(wanted)
    changed, notes = dict(state), []
    for name, classes in found.items():
        if not any('fc_cls.' in key for key in state):
            break
        several = f'detectors.{name}.'
        prefix = several if any(key.startswith(several) for key in state) else ''
        if not prefix and (len(found) > 1 or len(needed) > 1):
            continue  # class layers of one data set do not go to several
        own = needed.get(name) if prefix else next(iter(needed.values()), None)
        if own is None or own == classes:
            continue
        layers = [key for key in changed if key.startswith(prefix) and 'fc_cls.' in key]
        if sorted(own) == sorted(classes):
            changed = reorder_classes(changed, classes, own, prefix)
            notes.append(f'class layers brought from the order {classes} to {own}')
        elif mismatch == 'skip':
            for key in layers:
                del changed[key]
            notes.append(f'class layers of {classes} left out, the data have {own}')
        else:
            raise CheckpointError(
                f'{source_name}: its class layers are for {len(classes)} classes '
                f'{classes}, {name or "the data set"} has {len(own)} {own}; to start '
                f'them anew: {SKIP_OPTION}'
            )
    return changed, notes


def _by_name(info: Mapping[str, Any]) -> dict[str, list[str]]:
    """Classes by data set; '' for a single one without name."""
    datasets = info.get('datasets') or {'': info}
    named: dict[str, Sequence[str] | None] = {
        name: own.get('classes') for name, own in datasets.items()
    }
    return {name: list(classes) for name, classes in named.items() if classes}
