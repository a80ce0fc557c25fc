"""Which crop goes where: the order of the crops in shards, and their places there."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import open_table, read_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.hashing import mix64
from s5_mm.io.images.source import TAR_BLOCK

from .shard_options import ShardOptions
from .spool import SPOOLED, WORK, spool_file

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

MEMBERS = pa.schema([*SPOOLED, ('file', pa.string())])
"""Columns of the members: rows as they lie in the shards; a row group is a shard."""

MEMBERS_FILE = 'members.parquet'
_GAMMA = 0x9E3779B97F4A7C15


def shuffled(ids: np.ndarray, seed: int) -> np.ndarray:
    """Order crops by a hash of their identifier.

    Args:
        ids: Identifiers, uint64 (n,), all different.
        seed: Decides the order.

    Returns:
        int64, (n,): the crop in each place, the same for any order of ``ids``.
    """
    start = np.array([(seed * _GAMMA + _GAMMA) % 2**64], np.uint64)
    return np.argsort(mix64(ids ^ mix64(start)), kind='stable')


def shard_bounds(count: int, per_shard: int) -> np.ndarray:
    """Share crops out evenly.

    Args:
        count: Number of crops.
        per_shard: Most crops of a shard.

    Returns:
        int64, (shards + 1,): place of the first crop of each shard, and ``count``.
    """
    shards = -(-count // per_shard)
    return np.arange(shards + 1) * count // shards


def tar_layout(sizes: np.ndarray) -> tuple[np.ndarray, int]:
    """Say where members lie in an archive.

    Args:
        sizes: Bytes of each member.

    Returns:
        First byte of each, int64, and the size of the archive.
    """
    sizes = np.asarray(sizes, np.int64)
    blocks = TAR_BLOCK + -(-sizes // TAR_BLOCK) * TAR_BLOCK
    ends = np.cumsum(blocks)
    # Two empty blocks end an archive, which is filled up to whole records.
    total = int(ends[-1]) + 2 * TAR_BLOCK
    return ends - blocks + TAR_BLOCK, -(-total // tarfile.RECORDSIZE) * (
        tarfile.RECORDSIZE
    )


def write_work(path: Path, table: pa.Table, crops_per_chunk: int) -> list[int]:
    """Write the crops in the order of their sources, a row group a chunk.

    Args:
        path: The table, kept where it is there.
        table: The selected crops.
        crops_per_chunk: Crops after which a chunk ends, with its source.

    Returns:
        Crops of each chunk.
    """
    if path.exists():
        metadata = open_table(path).metadata
        groups = range(metadata.num_row_groups)
        return [metadata.row_group(number).num_rows for number in groups]
    files = table['file'].combine_chunks()
    of_file = files.indices.to_numpy()
    order = np.lexsort([table[key].to_numpy() for key in ('x', 'y')] + [of_file])
    table, of_file = table.take(order), of_file[order]
    starts, count = [0], len(order)
    last_of_file = np.append(np.flatnonzero(np.diff(of_file)) + 1, count)
    while starts[-1] < count:
        place = np.searchsorted(last_of_file, starts[-1] + crops_per_chunk)
        starts.append(int(last_of_file[min(place, len(last_of_file) - 1)]))
    bounds = list(zip(starts[:-1], starts[1:], strict=True))
    groups = (table.slice(start, end - start) for start, end in bounds)
    write_groups(path, WORK, groups)
    return [end - start for start, end in bounds]


def lay_out(
    spool: Path, table: pa.Table, chunks: int, options: ShardOptions
) -> list[tuple[pa.Table, int]]:
    """Decide where every member lies and write that down for the second pass.

    Args:
        spool: Folder of the spool, whose first pass is done.
        table: The selected crops.
        chunks: Number of its chunks.
        options: How crops become files.

    Returns:
        For each shard its rows of the index and its size in bytes.
    """
    tables = (
        read_table((spool / spool_file(number)).with_suffix('.parquet'))
        for number in range(chunks)
    )
    members = pa.concat_tables(tables).sort_by('crop_id')
    known = table.sort_by('crop_id').select(['file', 'pixel_hash'])
    for name in known.column_names:
        members = members.append_column(name, known[name])
    members = members.take(shuffled(members['crop_id'].to_numpy(), options.seed))
    bounds = shard_bounds(len(members), options.per_shard)
    groups = [
        members.slice(start, end - start)
        for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    if not (spool / MEMBERS_FILE).exists():
        write_groups(spool / MEMBERS_FILE, MEMBERS, groups)
    index = []
    for number, group in enumerate(groups):
        offsets, num_bytes = tar_layout(group['size'].to_numpy())
        columns = {
            'shard': np.full(len(group), number, np.int32),
            'offset': offsets,
        }
        for name, values in columns.items():
            group = group.append_column(name, pa.array(values))
        index.append((group, num_bytes))
    return index
