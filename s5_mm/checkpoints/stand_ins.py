"""Plain stand-ins for the classes that training scripts store next to the weights.

A checkpoint of mmengine holds ``HistoryBuffer`` objects, numpy scalars and, through
``getattr``, references to methods; those of other trainers hold configs, paths and
deques.  torch's ``weights_only`` unpickler refuses each of them.  Here it is given
other things under their names: functions and classes of this module, which keep the
data and look up nothing that the file names.  When the file is read, :func:`finish`
turns what was kept into arrays, histories and plain containers.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .numpy_stand_ins import NumpyArray, NumpyDtype, Reference, numpy_scalar

# What torch's own state dicts keep as an attribute.
_ATTRIBUTES = {'_metadata'}
_lock = Lock()


class _History:
    """The attributes of a ``HistoryBuffer``, its references to methods included."""

    def resolve(self) -> HistoryBuffer | Reference:
        """Build the history from its two arrays."""
        names = ('_log_history', '_count_history', 'max_length')
        values, counts, limit = (vars(self).get(name) for name in names)
        arrays = [finish(part) for part in (values, counts)]
        if not all(isinstance(array, np.ndarray) for array in arrays):
            return Reference('mmengine history')
        if len(arrays[0]) != len(arrays[1]) or not isinstance(limit, int):
            raise ValueError('a history of mmengine has as many values as counts')
        return HistoryBuffer(*arrays, max_length=limit)


class _Config:
    """A ``Config``, of which the settings are kept."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolve(self) -> Any:
        """Return the settings: first in mmengine's tuple, by name in mmcv 1's dict."""
        if isinstance(self.state, dict):
            return finish(self.state.get('_cfg_dict'))
        return finish(self.state[0])


class _Mapping:
    """A dict with attributes, read as the one type that torch's unpickler fills."""

    def __new__(cls, *items: Any) -> OrderedDict:  # type: ignore[misc]
        """Return a mapping; its items are the argument, or follow."""
        return OrderedDict(items[0] if items and isinstance(items[0], dict) else ())


class _Version:
    """``TorchVersion``, which is a string."""

    def __new__(cls, text: Any = '') -> str:  # type: ignore[misc]
        """Return the string."""
        return str(text)


def _method(*_names: Any) -> Reference:
    """Stand for ``getattr``, which is not called."""
    return Reference('a method')


def _list(items: Any = (), _limit: Any = None) -> list:
    """Stand for ``deque``; its items follow."""
    return list(items)


def _default_dict(*_factory: Any) -> dict:
    """Stand for ``defaultdict``; its items follow."""
    return {}


def _no_bytes() -> bytes:
    """Stand for ``bytes``, which pickles as a call only where it is empty."""
    return b''


def _path(*parts: Any) -> str:
    """Stand for a path: its parts, the first of which may be the root."""
    return '/'.join(map(str, parts)).replace('//', '/', 1)


_NUMPY = ('numpy._core.multiarray', 'numpy.core.multiarray')
_MAPPINGS = (
    'addict.addict.Dict',
    'easydict.EasyDict',
    'mmcv.utils.config.ConfigDict',
    'mmengine.config.config.ConfigDict',
    'yacs.config.CfgNode',
)
_STAND_INS: dict[str, Any] = {
    # The script's arguments in the manner of MAE: a class without behaviour.
    'argparse.Namespace': argparse.Namespace,
    'builtins.bytes': _no_bytes,
    'builtins.frozenset': frozenset,
    'builtins.getattr': _method,
    'builtins.slice': slice,
    'collections.defaultdict': _default_dict,
    'collections.deque': _list,
    'mmcv.utils.config.Config': _Config,
    'mmengine.config.config.Config': _Config,
    'mmengine.logging.history_buffer.HistoryBuffer': _History,
    'numpy.dtype': NumpyDtype,
    'torch.torch_version.TorchVersion': _Version,
    **{f'{module}.scalar': numpy_scalar for module in _NUMPY},
    **{f'{module}._reconstruct': NumpyArray for module in _NUMPY},
    **{
        f'{module}.{name}': _path
        for module in ('pathlib', 'pathlib._local')  # the second is Python 3.13's
        for name in ('PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath')
    },
    **dict.fromkeys(_MAPPINGS, _Mapping),
    # Only ever an argument of one of the above.
    **{
        name: Reference(name)
        for name in (
            'builtins.dict',
            'builtins.float',
            'builtins.int',
            'builtins.list',
            'builtins.str',
            'numpy.ndarray',
        )
    },
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Give torch's ``weights_only`` unpickler the stand-ins while the context lasts.

    What the process has allowed torch besides (``add_safe_globals``) stays allowed,
    except under the names of stand-ins: mmengine's own loader allows ``getattr``.
    """
    with _lock:
        allowed = torch.serialization.get_safe_globals()
        others = [entry for entry in allowed if _name(entry) not in _STAND_INS]
        own = [(value, name) for name, value in _STAND_INS.items()]
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals([*others, *own])
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(allowed)


def _name(entry: Any) -> str:
    """Name an entry of torch's list, which is a class, or a pair with a name."""
    if isinstance(entry, tuple):
        return entry[1]
    return f'{entry.__module__}.{entry.__qualname__}'


def finish(value: Any) -> Any:
    """Replace the stand-ins in what was read.

    Args:
        value: What ``torch.load`` returned; dicts, lists and namespaces are changed
            in place.

    Returns:
        The same tree with numpy arrays, ``HistoryBuffer`` objects and dicts.  What is
        not read (methods, arrays of dates) is a :class:`Reference`.

    Raises:
        ValueError: The data of an array or a history contradict each other.
    """
    return _finish(value, {})


def _finish(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """Do :func:`finish`; ``done`` keeps what is shared alive, and ends cycles."""
    if id(value) in done:
        return done[id(value)][1]
    finished = value
    if isinstance(value, (NumpyArray, _History, _Config)):
        finished = _finish(value.resolve(), done)
    elif isinstance(value, (dict, list, argparse.Namespace)):
        done[id(value)] = value, value
        if isinstance(value, OrderedDict):
            # A file could hide ``items`` and the like behind attributes.
            for name in vars(value).keys() - _ATTRIBUTES:
                del vars(value)[name]
        items: Any = vars(value) if isinstance(value, argparse.Namespace) else value
        for key in range(len(items)) if isinstance(items, list) else list(items):
            items[key] = _finish(items[key], done)
    elif type(value) is tuple:
        finished = tuple(_finish(item, done) for item in value)
    done[id(value)] = value, finished
    return finished
