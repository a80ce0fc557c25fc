"""Compare the checkpoints of two runs, bit by bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .plain_data import from_plain
from .safe_load import load_data_only

# Values that depend on the clock or on the directory, not on the training.
_INCIDENTAL = (
    'time',
    'data_time',
    'data_time_share',
    'eta',
    'cfg',
    'mmengine_version',  # holds the commit of the working directory
    'experiment_name',
    'last_ckpt',
    'best_ckpt',
    'keep_ckpt_ids',
)


def last_checkpoint(work_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Load the checkpoint that ``last_checkpoint`` of a directory points at.

    Args:
        work_dir: Directory of a run.

    Returns:
        Its content, with numpy arrays and log histories restored.
    """
    return from_plain(load_data_only(Path(work_dir, 'last_checkpoint').read_text()))


def checkpoint_differences(first: Any, second: Any, name: str = '') -> list[str]:
    """Name everything in which two checkpoints differ by a bit.

    Args:
        first: Content of one checkpoint, or a part of it.
        second: The same of the other.
        name: Dotted name of the part.

    Returns:
        Dotted names of what differs; times and directories are not compared.
    """
    if type(first) is not type(second):
        return [f'{name}: {type(first).__name__} and {type(second).__name__}']
    if isinstance(first, dict):
        keys = {
            key: None
            for key in (*first, *second)
            if str(key).rpartition('/')[2] not in _INCIDENTAL
        }
        found = [f'{name}.{key}' for key in keys if (key in first) != (key in second)]
        for key in keys:
            if key in first and key in second:
                found += checkpoint_differences(
                    first[key], second[key], f'{name}.{key}'
                )
        return found
    if isinstance(first, (list, tuple)):
        if len(first) != len(second):
            return [f'{name}: length {len(first)} and {len(second)}']
        return [
            difference
            for i, (a, b) in enumerate(zip(first, second, strict=True))
            for difference in checkpoint_differences(a, b, f'{name}[{i}]')
        ]
    return [] if _same_bits(first, second) else [name]


def _same_bits(first: Any, second: Any) -> bool:
    """Compare two leaves; NaN equals NaN, 0.0 is not -0.0 in a tensor."""
    if hasattr(first, 'data') and isinstance(first.data, tuple):  # a log history
        return all(map(_same_bits, first.data, second.data))
    if isinstance(first, torch.Tensor):
        return (
            first.dtype == second.dtype
            and first.shape == second.shape
            and _same_bits(_bytes_of(first), _bytes_of(second))
        )
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return first == second or (first != first and second != second)


def _bytes_of(tensor: torch.Tensor) -> np.ndarray:
    """View the values of a tensor as bytes."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
