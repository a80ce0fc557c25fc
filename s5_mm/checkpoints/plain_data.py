"""Training state as plain data, so that a checkpoint loads without executing code.

mmengine stores its message hub as pickled ``HistoryBuffer`` objects whose state
refers to functions through ``getattr``; ``torch.load(weights_only=True)`` rightly
refuses those.  Here the same state is written with tensors and built-in types, and
read back to objects that are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_KIND = '__plain_kind__'
_KEPT = (type(None), bool, int, float, complex, str, bytes, torch.Tensor)
_KEPT_TORCH = (torch.dtype, torch.device, torch.Size)


def to_plain(
    value: Any, on_drop: Callable[[str, Any], None] | None = None, name: str = ''
) -> Any:
    """Rewrite a tree of objects with built-in types and tensors only.

    Args:
        value: Tree of mappings, sequences, numbers, strings, tensors, numpy arrays
            and mmengine history buffers.
        on_drop: Called as ``on_drop(name, value)`` for a leaf that is none of these
            (a function, an object of an unknown class); the leaf is left out of its
            mapping, or replaced by ``None`` in a sequence.
        name: Dotted name of the root, for ``on_drop``.

    Returns:
        The tree, loadable with ``torch.load(weights_only=True)``; tensors are shared
        with the input, not copied.
    """
    plain = _rewrite(value, on_drop, name)
    return None if plain is _DROPPED else plain


def from_plain(value: Any) -> Any:
    """Undo :func:`to_plain`.

    Args:
        value: Tree made by :func:`to_plain`, its tensors on any device.

    Returns:
        The tree with numpy arrays, sets and history buffers restored.  Mappings come
        back as ``dict``, paths as ``str``.
    """
    if isinstance(value, dict):
        kind = value.get(_KIND)
        if kind is None:
            return {key: from_plain(item) for key, item in value.items()}
        return _RESTORE[kind](value)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(from_plain(item) for item in value)
    return value


_DROPPED = object()


def _rewrite(value: Any, on_drop: Callable[[str, Any], None] | None, name: str) -> Any:
    """Do :func:`to_plain`, with a mark of its own for what is dropped."""
    if type(value) in _KEPT or isinstance(value, (torch.Tensor, *_KEPT_TORCH)):
        return value
    if isinstance(value, HistoryBuffer):
        return _pack_history(value)
    if isinstance(value, np.ndarray):
        return _pack_array(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        entries = {
            key: _rewrite(item, on_drop, f'{name}.{key}') for key, item in value.items()
        }
        return {
            to_plain(key): item for key, item in entries.items() if item is not _DROPPED
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [to_plain(v, on_drop, f'{name}[{i}]') for i, v in enumerate(value)]
        if isinstance(value, (set, frozenset)):
            return {_KIND: 'set', 'items': items}
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, Path):
        return str(value)
    # Enumerations and the like: numbers and strings of a class of their own.
    for base in (int, float, str):
        if isinstance(value, base):
            return base(value)
    if on_drop is not None:
        on_drop(name, value)
    return _DROPPED


def _pack_array(array: np.ndarray) -> dict[str, Any]:
    """Write an array as a tensor, or as a list where torch has no such type."""
    try:
        data: Any = torch.from_numpy(np.array(array, order='C'))
    except TypeError:  # strings and objects have no tensor
        data = to_plain(array.tolist())
    return {_KIND: 'array', 'data': data, 'dtype': array.dtype.str}


def _unpack_array(packed: dict[str, Any]) -> np.ndarray:
    """Undo :func:`_pack_array`."""
    data = packed['data']
    if isinstance(data, torch.Tensor):
        return data.cpu().numpy()
    return np.array(data, dtype=packed['dtype'])


def _pack_history(history: HistoryBuffer) -> dict[str, Any]:
    """Write a log history as two arrays."""
    values, counts = history.data
    # Every entry counts once unless a caller said otherwise: store one number then.
    constant = counts.size > 0 and bool((counts == counts[0]).all())
    return {
        _KIND: 'history',
        'values': _pack_array(values),
        'counts': _pack_array(counts[:1] if constant else counts),
        'max_length': history.max_length,
    }


def _unpack_history(packed: dict[str, Any]) -> HistoryBuffer:
    """Undo :func:`_pack_history`."""
    values = _unpack_array(packed['values'])
    counts = np.broadcast_to(_unpack_array(packed['counts']), values.shape)
    return HistoryBuffer(values, counts, max_length=packed['max_length'])


_RESTORE: dict[str, Callable[[dict[str, Any]], Any]] = {
    'array': _unpack_array,
    'history': _unpack_history,
    'set': lambda packed: set(from_plain(packed['items'])),
}
