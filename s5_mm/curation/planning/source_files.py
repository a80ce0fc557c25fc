"""The files behind the sources of a plan, read as they are needed.

A plan may have ten million sources; a part of it has some thousand.  Looked up part by
part, no process holds them all, and nothing large travels to worker processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import ManifestError, open_table
from s5_mm.io.crop_tables.run_names import SOURCES_FILE

from .collections import Collection


class PlannedSource(NamedTuple):
    """A source of a plan.

    Attributes:
        collection: Name of its collection.
        name: Path relative to the collection's root.
        path: The file.
        num_bytes: Its size when it was planned.
        mtime_ns: Its time of change when it was planned.
    """

    collection: str
    name: str
    path: str
    num_bytes: int
    mtime_ns: int

    def check_unchanged(self) -> None:
        """Refuse a file that is not the one that was planned.

        Raises:
            ManifestError: If it vanished or changed.
        """
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise ManifestError(
                f'{self.path}: the source has vanished since it was planned '
                f'({error.strerror}); bring it back, or plan again (--redo plan)'
            ) from error
        now = status.st_size, status.st_mtime_ns
        if now != (self.num_bytes, self.mtime_ns):
            raise ManifestError(
                f'{self.path}: the source has changed since it was planned: '
                f'{self.num_bytes} bytes of {self.mtime_ns} ns then, {now[0]} bytes of '
                f'{now[1]} ns now; plan again (--redo plan)'
            )


class SourceFiles:
    """Finds the sources of a plan by their numbers; pickles as two short things.

    Args:
        folder: Folder of the plan.
        collections: The collections that were planned.
    """

    def __init__(self, folder: Path, collections: Iterable[Collection]) -> None:
        self.folder = Path(folder)
        self.roots: Mapping[str, str] = {c.name: c.root for c in collections}

    def find(self, numbers: Iterable[int]) -> dict[int, PlannedSource]:
        """Look sources up.

        Args:
            numbers: Their numbers, in any order.

        Returns:
            The sources by number.

        Raises:
            ManifestError: If a number does not exist, or a collection is not given.
        """
        path = self.folder / SOURCES_FILE
        wanted = np.unique(np.fromiter(numbers, np.int64))
        file = open_table(path)
        sizes = [
            file.metadata.row_group(group).num_rows
            for group in range(file.num_row_groups)
        ]
        ends = np.cumsum(sizes)
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < ends[-1]:
            raise ManifestError(
                f'{path}: has {ends[-1]} sources, a crop is of number {wanted[-1]}'
            )
        groups = np.searchsorted(ends, wanted, side='right')
        columns = ['collection', 'path', 'num_bytes', 'mtime_ns']
        found: dict[int, PlannedSource] = {}
        for group in np.unique(groups):
            own = wanted[groups == group]
            table = file.read_row_group(int(group), columns)
            rows = table.take(pa.array(own - (ends[group] - sizes[group])))
            for number, row in zip(own.tolist(), rows.to_pylist(), strict=True):
                found[number] = self._file(path, *row.values())
        return found

    def check_collections(self) -> SourceFiles:
        """Refuse a plan of other collections before any work; reads a column.

        Raises:
            ManifestError: If a collection of the plan is not given.
        """
        path = self.folder / SOURCES_FILE
        file = open_table(path)
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, ['collection'])['collection']
            for name in names.unique().to_pylist():
                self._check(path, name)
        return self

    def _check(self, table: Path, collection: str) -> None:
        """Refuse a collection that is not given."""
        if collection not in self.roots:
            raise ManifestError(
                f'{table}: has images of the collection {collection!r}, the config has '
                f'{sorted(self.roots)}'
            )

    def _file(
        self, table: Path, collection: str, name: str, num_bytes: int, mtime_ns: int
    ) -> PlannedSource:
        """Put a source together."""
        self._check(table, collection)
        path = os.path.join(self.roots[collection], name)
        return PlannedSource(collection, name, path, num_bytes, mtime_ns)
