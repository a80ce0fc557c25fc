"""The tables of a curation run: Parquet, one row a crop, never read whole by need.

A run's crops are split into parts.  A part is a file of the same name in the folder of
every stage, with the same crops in the same order, so a stage is resumed part by part
and joined without a join.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from s5_mm.io.atomic import atomic_open

MANIFEST_VERSION = '1'
"""Raised when a column changes its name or its meaning."""

VERSION_KEY = b's5_mm.manifest_version'
"""Metadata that every table of a run has."""

_COMPRESSION = 'zstd'
_GROUP = 2**16

SOURCES = pa.schema(
    [
        ('source', pa.int32()),  # row number
        ('collection', pa.string()),
        ('path', pa.string()),  # relative to the collection's root
        ('width', pa.int32()),
        ('height', pa.int32()),
        ('format', pa.string()),
        ('num_bytes', pa.int64()),
        ('mtime_ns', pa.int64()),
        ('problem', pa.string()),  # '' if the file can be read
    ]
)
"""Columns of ``plan/sources.parquet``."""

CROPS = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('source', pa.int32()),
        ('x', pa.int32()),
        ('y', pa.int32()),
        ('width', pa.int32()),
        ('height', pa.int32()),
    ]
)
"""Columns of ``plan/part-*.parquet``; windows in pixels of the source."""


class ManifestError(ValueError):
    """A table of a curation run that cannot be used; names the file."""


def scores_schema(num_classes: int) -> pa.Schema:
    """Columns of ``score/part-*.parquet``; null where the gate rejected a crop.

    Args:
        num_classes: K, the length of ``class_areas``.

    Returns:
        ``crop_id``; ``entropy`` in nats (Eq. 1); ``cluster``; ``similarity``, cosine to
        its prototype, and ``margin`` to the second one; ``foreground``, share of the
        pixels; ``confidence``, mean of the largest probability; ``class_areas``, shares
        that sum to 1.
    """
    return pa.schema(
        [
            ('crop_id', pa.uint64()),
            ('entropy', pa.float32()),
            ('cluster', pa.int16()),
            ('similarity', pa.float32()),
            ('margin', pa.float32()),
            ('foreground', pa.float32()),
            ('confidence', pa.float32()),
            ('class_areas', pa.list_(pa.float32(), num_classes)),
        ]
    )


def versioned(schema: pa.Schema) -> pa.Schema:
    """Write the version of the tables into a schema's metadata."""
    metadata = {**(schema.metadata or {}), VERSION_KEY: MANIFEST_VERSION.encode()}
    return schema.with_metadata(metadata)


def write_table(
    path: str | os.PathLike[str], table: pa.Table, row_group_size: int = _GROUP
) -> None:
    """Write a table whole or not at all; the same rows give the same bytes.

    Args:
        path: The file.
        table: Its rows.
        row_group_size: Rows that can be read without the others.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    table = table.replace_schema_metadata(versioned(table.schema).metadata)
    with atomic_open(path) as file:
        pq.write_table(table, file, row_group_size, compression=_COMPRESSION)


def open_table(path: str | os.PathLike[str]) -> pq.ParquetFile:
    """Open a table without reading its rows: 50 million open like one.

    Args:
        path: The file.

    Returns:
        The file, memory mapped.

    Raises:
        ManifestError: If it is missing, damaged or of another version.
    """
    try:
        file = pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError as error:
        raise ManifestError(f'{path}: the table does not exist') from error
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f'{path}: no Parquet file, or a torn one ({error})') from (
            error
        )
    found = (file.schema_arrow.metadata or {}).get(VERSION_KEY)
    if found is None:
        raise ManifestError(
            f'{path}: no table of s5_mm (its metadata has no {VERSION_KEY.decode()!r})'
        )
    if found.decode() != MANIFEST_VERSION:
        raise ManifestError(
            f'{path}: {VERSION_KEY.decode()} is {found.decode()!r}, this code reads '
            f'{MANIFEST_VERSION!r}; write the table again with this code'
        )
    return file


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None
) -> pa.Table:
    """Read a table, or some of its columns.

    Args:
        path: The file.
        columns: Names; None for all.

    Returns:
        Its rows.

    Raises:
        ManifestError: As :func:`open_table`, or if a column is missing.
    """
    file = open_table(path)
    names = file.schema_arrow.names
    if missing := [name for name in columns or () if name not in names]:
        raise ManifestError(f'{path}: no column {missing}, it has {names}')
    try:
        return file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f'{path}: damaged ({error})') from error


class Parts:
    """The parts of a run, by the files of its plan.

    Args:
        folder: Folder of the plan.

    Raises:
        ManifestError: If it has no part, or one is missing between others.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.names = sorted(path.name for path in self.folder.glob('part-*.parquet'))
        if self.names != [part_name(number) for number in range(len(self.names))]:
            raise ManifestError(
                f'{self.folder}: a part is missing, expected part-000000.parquet to '
                f'{part_name(len(self.names) - 1)}, found {self.names[:3]} ...'
            )
        if not self.names:
            raise ManifestError(f'{self.folder}: no part-*.parquet, plan first')

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def num_rows(self) -> list[int]:
        """Number of crops of every part."""
        return [pq.read_metadata(self.folder / name).num_rows for name in self.names]


def part_name(number: int) -> str:
    """Name of the file of a part."""
    return f'part-{number:06d}.parquet'
