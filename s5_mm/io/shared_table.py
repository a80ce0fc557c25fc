"""Long tables that worker processes share instead of copying."""

from __future__ import annotations

import os
import tempfile
import weakref

import pyarrow as pa


class SharedTable:
    """An Arrow table without nulls, row by row.

    Arrow's buffers hold no Python objects whose reference counts would be written at
    each access, so forked workers share them as they are.  Pickled, the table is a file
    to be mapped, so a spawned worker copies nothing either.  The file lives as long as
    the object that was pickled first.

    Args:
        origin: What the table was read from, for messages.
        table: The table; it has a row at least.
    """

    def __init__(self, origin: str, table: pa.Table) -> None:
        self.origin = origin
        self.table = table.combine_chunks()
        self.columns = {
            name: self.table[name].chunk(0) for name in self.table.column_names
        }
        self.file: str | None = None

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, name: str) -> pa.Array:
        return self.columns[name]

    def __deepcopy__(self, memo: dict) -> SharedTable:
        return self  # nothing in it ever changes

    def __reduce__(self) -> tuple:
        if self.file is None:
            handle, self.file = tempfile.mkstemp(prefix='s5_mm_', suffix='.arrow')
            os.close(handle)
            weakref.finalize(self, _remove, self.file, os.getpid())
            with pa.ipc.new_file(self.file, self.table.schema) as file:
                file.write_table(self.table)
        return _map, (self.file, self.origin)


def _map(name: str, origin: str) -> SharedTable:
    """Map a table that another process wrote aside."""
    try:
        table = pa.ipc.open_file(pa.memory_map(name)).read_all()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{name}: the process that opened the list {origin} has ended; pickled '
            'tables serve its worker processes only'
        ) from error
    shared = SharedTable(origin, table)
    shared.file = name
    return shared


def _remove(name: str, owner: int) -> None:
    """Remove the file aside, in the process that wrote it and not in its forks."""
    if os.getpid() == owner and os.path.exists(name):
        os.remove(name)
