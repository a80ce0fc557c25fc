"""Which crop goes into which shard, and the columns of the tables about it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from s5_mm.io.hashing import mix64

from .shard_options import ShardOptions

INDEX = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('shard', pa.int32()),
        ('offset', pa.int64()),  # first byte of the member, behind its header
        ('size', pa.int32()),
        ('format', pa.string()),
        ('pixel_hash', pa.binary(16)),  # of the crop
        ('stored_hash', pa.binary(16)),  # of the decoded member, where it differs
        ('sha256', pa.binary(32)),  # of the member's bytes
    ]
)
"""Columns of ``shards/index.parquet``: rows as they lie in the shards."""

WORK = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('shard', pa.int32()),
        ('file', pa.string()),
        *((name, pa.int32()) for name in ('x', 'y', 'width', 'height')),
        ('source_sha256', pa.binary(32)),
        ('pixel_hash', pa.binary(16)),
    ]
)
"""Columns of the work: rows as they will lie in the shards; a row group is a chunk."""

_GAMMA = 0x9E3779B97F4A7C15


def lay_out(table: pa.Table, options: ShardOptions) -> list[pa.Table]:
    """Share crops out among shards.

    Sources follow each other in a random order, the crops of a source by y and x.  A
    chunk holds whole sources, at least ``per_shard`` crops, and is split evenly into
    shards, so a source is decoded once, from the top down.

    Args:
        table: The selected crops, of any order, with :data:`WORK` but ``shard``.
        options: ``per_shard`` and ``seed`` are used.

    Returns:
        The chunks, in the order of their shards, with the columns of :data:`WORK`; the
        same for any order of ``table``.
    """
    files = table['file'].combine_chunks().indices.to_numpy()
    order = np.lexsort(
        [table[key].to_numpy() for key in ('x', 'y')]
        + [_places(files, table['crop_id'].to_numpy(), options.seed)]
    )
    table, files = table.take(order), files[order]
    file_ends = np.append(np.flatnonzero(np.diff(files)) + 1, len(files))
    chunks, start, shard = [], 0, 0
    while start < len(files):
        last = int(np.searchsorted(file_ends, start + options.per_shard))
        end = int(file_ends[min(last, len(file_ends) - 1)])
        shards = -(-(end - start) // options.per_shard)
        number = shard + np.arange(end - start) * shards // (end - start)
        chunk = table.slice(start, end - start)
        chunk = chunk.append_column('shard', pa.array(number, pa.int32()))
        chunks.append(chunk.select(WORK.names))
        start, shard = end, shard + shards
    return chunks


def _places(files: np.ndarray, ids: np.ndarray, seed: int) -> np.ndarray:
    """Hash the lowest identifier of each crop's file: uint64 (n,)."""
    lowest = np.full(int(files.max()) + 1, 2**64 - 1, np.uint64)
    np.minimum.at(lowest, files, ids)
    start = np.array([(seed * _GAMMA + _GAMMA) % 2**64], np.uint64)
    return mix64(lowest ^ mix64(start))[files]
