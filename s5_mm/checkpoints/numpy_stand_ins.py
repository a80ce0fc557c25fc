"""Numbers and arrays of numpy in a pickle, rebuilt from their bytes.

numpy's own functions for this take any dtype and any state; these take numbers and
strings, and check the size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Booleans, integers, floats, complex numbers, bytes and strings.
_KINDS = 'biufcSU'


class Reference:
    """A function, class or value that a file refers to and that is not read.

    Args:
        name: What it is.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f'<not read: {self.name}>'


class NumpyDtype:
    """A dtype: its code, and the byte order that follows."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        self.code, self.order = code, '='

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ('<', '>'):
            self.order = state[1]

    def resolve(self) -> np.dtype | None:
        """Build the dtype; None if it is not one of numbers or strings."""
        code = self.code if isinstance(self.code, str) else ''
        if code[:1] not in tuple(_KINDS) or not code[1:].isdigit():
            return None
        return np.dtype(self.order + code)


class NumpyArray:
    """A numpy array whose parts are kept until the file is read."""

    def __init__(self, *_ignored: Any) -> None:
        self.parts: Any = None

    def __setstate__(self, state: Any) -> None:
        self.parts = state

    def resolve(self) -> np.ndarray | list | Reference:
        """Build the array; of an array of objects only the flat list is kept."""
        _version, shape, dtype, fortran, data = self.parts
        if isinstance(data, list):
            return data
        known = dtype.resolve()
        if known is None:
            return Reference(f'numpy array of {dtype.code}')
        count = math.prod(shape)
        if len(data) != count * known.itemsize:
            raise ValueError(
                f'a numpy array of {shape} {known} has {len(data)} bytes of data'
            )
        flat = np.frombuffer(data, known) if data else np.empty(0, known)
        return flat.reshape(shape, order='F' if fortran else 'C').copy(order='K')


def numpy_scalar(dtype: NumpyDtype, data: Any) -> np.generic | Reference:
    """Build a numpy scalar."""
    known = dtype.resolve()
    if known is None:
        return Reference(f'numpy scalar of {dtype.code}')
    if len(data) != known.itemsize:
        raise ValueError(f'a numpy {known} has {len(data)} bytes of data')
    return np.frombuffer(data, known)[0] if data else known.type()
