"""Weights of a detector for the same classes in another order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch

_CLASS_LAYER = re.compile(r'(?:^|\.)fc_cls\.(?:weight|bias)$')
_BOX_LAYER = re.compile(r'(?:^|\.)fc_reg\.(?:weight|bias)$')
# Parameters of a box: upright, oriented, four corners.
_BOX_DIMS = (4, 5, 8)


def class_permutation(found: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Say where each wanted class is among those that were found.

    Args:
        found: Names of the classes, in the order of the weights.
        wanted: The same names, in the order of the config.

    Returns:
        Indices with ``found[index[i]] == wanted[i]``.

    Raises:
        ValueError: If a name is missing, surplus or given twice.
    """
    for kind, names in (('found', found), ('wanted', wanted)):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        if twice:
            raise ValueError(f'{kind} classes: {twice} more than once, expected once')
    missing = [name for name in wanted if name not in found]
    surplus = [name for name in found if name not in wanted]
    if missing or surplus:
        raise ValueError(
            f'the classes are not the same ones: the weights lack {missing} and have '
            f'{surplus} besides, expected {list(wanted)} in any order'
        )
    places = {name: place for place, name in enumerate(found)}
    return [places[name] for name in wanted]


def reorder_classes(
    state: Mapping[str, torch.Tensor],
    found: Sequence[str],
    wanted: Sequence[str],
    prefix: str = '',
) -> dict[str, torch.Tensor]:
    """Bring the class layers of a detector into another order of the classes.

    The rows of every ``fc_cls`` are the classes and, last, the background, as mmdet
    and its forks lay them out.  A class-wise ``fc_reg`` has the rows of each class in
    a block; a class-agnostic one has no classes and stays as it is.

    Args:
        state: Parameters by name; not changed.
        found: Names of the classes, in the order of ``state``.
        wanted: The same names, in the order they should have.
        prefix: Start of the names that are reordered, where a file holds the heads of
            several data sets.

    Returns:
        The parameters, with new tensors where the order changed.

    Raises:
        ValueError: If the names do not agree or a layer has another number of rows.
        KeyError: If there is no ``fc_cls`` below ``prefix``.
    """
    order = class_permutation(found, wanted)
    count = len(order)
    changed = dict(state)
    heads = 0
    for name, tensor in state.items():
        if not name.startswith(prefix):
            continue
        rows = len(tensor) if tensor.ndim else 0
        if _CLASS_LAYER.search(name):
            heads += 1
            if rows != count + 1:
                raise ValueError(
                    f'{name}: {rows} rows, expected {count + 1}: {count} classes and '
                    'the background'
                )
            changed[name] = tensor[[*order, count]]
        elif _BOX_LAYER.search(name) and rows not in _BOX_DIMS:
            dims, rest = divmod(rows, count)
            if rest or dims not in _BOX_DIMS:
                raise ValueError(
                    f'{name}: {rows} rows, expected one of {_BOX_DIMS} for all classes '
                    f'or as often for each of {count}'
                )
            blocks = tensor.reshape(count, dims, *tensor.shape[1:])
            changed[name] = blocks[order].reshape(tensor.shape)
    if not heads:
        raise KeyError(
            f'no *.fc_cls.weight among {len(state)} parameters that start with '
            f'{prefix!r}, expected the class layer of a detector'
        )
    return changed
