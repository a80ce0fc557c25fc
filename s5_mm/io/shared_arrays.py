"""Long tables that worker processes share instead of copying."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Sequence

import numpy as np

# Bytes that every array in a file starts at a multiple of.
_ALIGNMENT = 64


class SharedArrays:
    """Arrays that are never written, by name.

    Forked workers share them as they are; pickled, they are a file to be mapped, so a
    spawned worker copies nothing either.  The file lives as long as the object that
    was pickled first.

    Args:
        origin: What the arrays were read from, for messages.
        **arrays: The arrays; none is empty.
    """

    def __init__(self, origin: str, **arrays: np.ndarray) -> None:
        self.origin, self.arrays = origin, arrays
        self.file: str | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __deepcopy__(self, memo: dict) -> SharedArrays:
        return self  # nothing in it ever changes

    def __reduce__(self) -> tuple:
        if self.file is None:
            self._spill()
        layout = [(name, a.dtype.str, a.shape) for name, a in self.arrays.items()]
        return _map, (self.file, self.origin, layout)

    def _spill(self) -> None:
        """Write the arrays aside, for other processes to map."""
        handle, name = tempfile.mkstemp(prefix='s5_mm_arrays_', suffix='.bin')
        weakref.finalize(self, _remove, name, os.getpid())
        with os.fdopen(handle, 'wb') as file:
            for array in self.arrays.values():
                file.write(np.ascontiguousarray(array).data)
                file.write(bytes(-array.nbytes % _ALIGNMENT))
        self.file = name


def _map(
    name: str, origin: str, layout: Sequence[tuple[str, str, tuple[int, ...]]]
) -> SharedArrays:
    """Map arrays that another process wrote aside."""
    arrays, offset = {}, 0
    try:
        for key, dtype, shape in layout:
            arrays[key] = np.memmap(name, dtype, 'r', offset, tuple(shape))
            offset += arrays[key].nbytes + -arrays[key].nbytes % _ALIGNMENT
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{name}: the process that opened the list {origin} has ended; pickled '
            'tables serve its worker processes only'
        ) from error
    shared = SharedArrays(origin, **arrays)
    shared.file = name
    return shared


def _remove(name: str, owner: int) -> None:
    """Remove the file aside, in the process that wrote it and not in its forks."""
    if os.getpid() == owner and os.path.exists(name):
        os.remove(name)
