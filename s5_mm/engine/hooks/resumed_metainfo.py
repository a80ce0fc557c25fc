"""Compare the data set of a resumed run with that of its checkpoint."""

from __future__ import annotations

import json
from typing import Any

from mmengine.runner import BaseLoop, Runner
from torch import Tensor

from s5_mm.checkpoints.plain_data import to_plain


def adopt_metainfo(runner: Runner, meta: dict[str, Any]) -> None:
    """Replace the data set's meta information by the run's where they are equal.

    The host compares two pickles (0.10.12), which differ for equal content as soon as
    a string is one object in two places of the one and two objects in the other.

    Args:
        runner: The runner; nothing is done where it does not train.
        meta: Meta information of the checkpoint; changed in place.
    """
    loop = runner._train_loop
    if 'dataset_meta' not in meta or not isinstance(loop, BaseLoop):
        return
    current = getattr(loop.dataloader.dataset, 'metainfo', None)
    if _text(current) == _text(meta['dataset_meta']):
        meta['dataset_meta'] = current


def _text(metainfo: Any) -> str:
    """Write meta information such that equal content is equal text."""
    return json.dumps(to_plain(metainfo), default=_listed)


def _listed(value: Any) -> Any:
    """Write a tensor in full, anything else by its name and value."""
    return value.tolist() if isinstance(value, Tensor) else repr(value)
