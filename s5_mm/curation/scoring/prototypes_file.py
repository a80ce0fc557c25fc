"""Prototypes on disk: ``cluster/prototypes.npz``, arrays and nothing else."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np

from s5_mm.io.atomic import atomic_open

from .prototypes import Prototypes, PrototypesError

_HEX = 64  # digits of a SHA-256


def save_prototypes(path: str | os.PathLike[str], prototypes: Prototypes) -> None:
    """Write prototypes whole or not at all; the same ones give the same bytes.

    Args:
        path: The file, ``.npz``.
        prototypes: What to write.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    arrays: dict[str, Any] = {k: np.asarray(v) for k, v in prototypes._asdict().items()}
    with atomic_open(path) as file:
        np.savez(file, **arrays)


def load_prototypes(
    path: str | os.PathLike[str], checkpoint: str | None = None
) -> Prototypes:
    """Read prototypes as data, and check them.

    Args:
        path: File of :func:`save_prototypes`.
        checkpoint: SHA-256 that they must be of, hex; None takes any.

    Returns:
        The prototypes.

    Raises:
        PrototypesError: If the file is missing, damaged, holds something else, or the
            prototypes are of another checkpoint.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise PrototypesError(
            f'{path}: there are no prototypes; run the stage cluster first'
        ) from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise PrototypesError(f'{path}: damaged, or no .npz file ({error})') from error
    if sorted(arrays) != sorted(Prototypes._fields):
        raise PrototypesError(
            f'{path}: holds {sorted(arrays)}, expected {sorted(Prototypes._fields)}'
        )
    if problem := _problem(arrays):
        raise PrototypesError(f'{path}: {problem}')
    found = Prototypes(
        arrays['prototypes'],
        arrays['counts'],
        str(arrays['checkpoint']),
        str(arrays['labelled']),
        int(arrays['seed']),
    )
    if checkpoint is not None and found.checkpoint != checkpoint:
        raise PrototypesError(
            f'{path}: the prototypes are of the checkpoint with SHA-256 '
            f'{found.checkpoint}, the one in use has {checkpoint}; features of two '
            'checkpoints cannot be compared, do the stage cluster again'
        )
    return found


def _problem(arrays: dict[str, np.ndarray]) -> str:
    """Say what is wrong with the arrays of a file, '' if nothing is."""
    rows, counts = arrays['prototypes'], arrays['counts']
    if rows.dtype != np.float32 or rows.ndim != 2 or not rows.size:
        return f'prototypes is {rows.dtype} {rows.shape}, expected float32 (M, D)'
    if counts.dtype != np.int64 or counts.shape != rows.shape[:1]:
        return f'counts is {counts.dtype} {counts.shape}, expected int64 ({len(rows)},)'
    if (counts < 1).any():
        empty = np.flatnonzero(counts < 1).tolist()
        return f'the clusters {empty} are empty, expected counts above 0'
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-4))
    if len(wrong):
        return f'prototype {wrong[0]} has length {lengths[wrong[0]]}, expected 1'
    for name in ('checkpoint', 'labelled'):
        value = arrays[name]
        if value.dtype.kind != 'U' or value.ndim or len(str(value)) != _HEX:
            return f'{name} is {value!r}, expected the {_HEX} digits of a SHA-256'
    seed = arrays['seed']
    if seed.dtype.kind not in 'iu' or seed.ndim:
        return f'seed is {seed!r}, expected a whole number'
    return ''
