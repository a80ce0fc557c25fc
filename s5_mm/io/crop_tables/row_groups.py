"""Tables whose row groups are units of work: a worker reads one, not the table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from s5_mm.io.atomic import atomic_open

from .parquet import ManifestError, open_table, versioned


def write_groups(
    path: str | os.PathLike[str],
    schema: pa.Schema,
    groups: Iterable[pa.Table],
    metadata: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write a table whole or not at all, each of its groups as one row group.

    Args:
        path: The file.
        schema: Its columns.
        groups: Rows, none of them empty.
        metadata: Further metadata of the schema.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    schema = versioned(schema.with_metadata(dict(metadata or {})))
    with (
        atomic_open(path) as file,
        pq.ParquetWriter(file, schema, compression='zstd') as writer,
    ):
        for group in groups:
            rows = group.select(schema.names).cast(schema)
            writer.write_table(rows, row_group_size=len(rows))


def read_group(path: str | os.PathLike[str], number: int) -> pa.Table:
    """Read a row group.

    Args:
        path: The file.
        number: Which one.

    Returns:
        Its rows.

    Raises:
        ManifestError: If the table is missing, damaged, of another version, or has no
            such group.
    """
    file = open_table(path)
    if number >= file.num_row_groups:
        raise ManifestError(
            f'{path}: no row group {number}, it has {file.num_row_groups}'
        )
    try:
        return file.read_row_group(number)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f'{path}: damaged ({error})') from error
