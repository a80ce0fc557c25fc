"""Random reads from a few thousand files without opening one for each read."""

from __future__ import annotations

import os
import resource
from collections import OrderedDict


class OpenFiles:
    """Keeps the files open that were read last.

    Reads name their place, so forked workers can go on with the descriptors they
    inherit.  Pickled, it is empty.

    Args:
        limit: Most files that are open at once; None takes half of what the process
            may open.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit or max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2, 1)
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __reduce__(self) -> tuple:
        return OpenFiles, (self.limit,)

    def read(self, path: str, offset: int, count: int) -> bytes:
        """Read a part of a file.

        Args:
            path: The file.
            offset: First byte.
            count: Number of bytes.

        Returns:
            The bytes, fewer where the file ends before.

        Raises:
            OSError: If it cannot be opened or read.
        """
        # A thread that pushes a file out does not close it under another's read: the
        # descriptor lives as long as somebody refers to it.
        file = self._open.pop(path, None) or _Descriptor(path)
        self._open[path] = file
        while len(self._open) > self.limit:
            self._open.popitem(last=False)
        data = os.pread(file.number, count, offset)
        while 0 < len(data) < count:
            more = os.pread(file.number, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data


class _Descriptor:
    """An open file, closed with its last reference.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | getattr(os, 'O_CLOEXEC', 0))

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)
