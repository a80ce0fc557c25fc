"""Measure shards: how fast an index opens, and random reads beside plain files.

    python tools/analysis_tools/benchmark_shards.py [--members 1000000] [--reads 1000]

It opens an index of a million members and prints the bytes that a further worker costs.
Then it reads crops of 512x512 at random, from plain PNG files and from shards with the
same bytes, out of the page cache.  Times are of one core: run it with OMP_NUM_THREADS=1
on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.planning.crop_grid import crop_ids
from s5_mm.curation.shards.shard_layout import INDEX
from s5_mm.curation.shards.shard_options import ShardOptions
from s5_mm.curation.shards.write_shards import materialize
from s5_mm.io.crop_tables.parquet import write_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.shard_table import (
    INDEX_FILE,
    SHARDS_KEY,
    ShardTable,
    shard_name,
)
from s5_mm.io.hashing import hash_pixels
from s5_mm.io.images.read import read_image
from s5_mm.io.images.source import ImageFile, ShardMember
from s5_mm.io.path_table import PathTable


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--members', type=int, default=1_000_000, help='of the index')
    parser.add_argument('--crops', type=int, default=256, help='that are read')
    parser.add_argument('--reads', type=int, default=1000, help='of crops, at random')
    return parser.parse_args(argv)


def write_images(folder: Path, count: int) -> None:
    """Write smooth noise that compresses about as aerial images do."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        noise = generator.integers(0, 256, (512, 512, 3), np.uint8)
        image = cv2.GaussianBlur(noise, (0, 0), 1.0)
        cv2.imwrite(str(folder / f'{index:06d}.png'), image)


def time_index(folder: Path, count: int) -> None:
    """Open an index of so many members.

    Args:
        folder: Where it is written, with shards that are empty.
        count: Number of members.
    """
    per_shard = ShardOptions.per_shard
    rng, groups = np.random.default_rng(0), []
    for number in range(-(-count // per_shard)):
        rows = min(per_shard, count - number * per_shard)
        columns = {
            'crop_id': rng.integers(0, 2**64, rows, np.uint64),
            'shard': np.full(rows, number, np.int32),
            'offset': np.cumsum(rng.integers(1, 1000, rows)) * 512,
            'size': rng.integers(1, 400_000, rows).astype(np.int32),
            'format': ['PNG'] * rows,
            'pixel_hash': [rng.bytes(16) for _ in range(rows)],
            'stored_hash': pa.nulls(rows, pa.binary(16)),
            'sha256': [rng.bytes(32) for _ in range(rows)],
        }
        groups.append(pa.table(columns, INDEX))
        (folder / shard_name(number)).touch()
    record = json.dumps({'num_bytes': [0] * len(groups)}).encode()
    path = folder / INDEX_FILE
    write_groups(path, INDEX, groups, {SHARDS_KEY: record})
    start = time.perf_counter()
    table = ShardTable.open(str(folder))
    seconds = time.perf_counter() - start
    print(
        f'index    {len(table)} members in {len(groups)} shards open in {seconds:.2f} '
        f's; {path.stat().st_size / 1e6:.0f} MB, {len(pickle.dumps(table))} bytes go '
        'to a spawned worker'
    )


def time_reads(folder: Path, reads: int, count: int) -> None:
    """Read crops at random from files and from shards.

    Args:
        folder: Where they are written.
        reads: Number of reads of each kind.
        count: Number of crops.
    """
    write_images(folder / 'files', count)
    names = sorted(path.name for path in (folder / 'files').iterdir())
    window = np.array([[0, 0, 512, 512]])
    rows = [
        {
            'crop_id': int(crop_ids('files', name, window)[0]),
            'collection': 'files',
            'path': name,
            **dict(x=0, y=0, width=512, height=512),
            'source_sha256': bytes(32),
            'pixel_hash': hash_pixels(read_image(str(folder / 'files' / name))),
            'decision': 'selected',
        }
        for name in names
    ]
    ids = pa.array([row.pop('crop_id') for row in rows], pa.uint64())
    table = pa.Table.from_pylist(rows).append_column('crop_id', ids)
    write_table(folder / 'm.parquet', table)
    options = ShardOptions(per_shard=16)
    roots = {'files': str(folder / 'files')}
    materialize(folder / 'm.parquet', roots, folder / 'shards', options)
    tables = {
        'files': PathTable.from_folder(str(folder / 'files')),
        'shards': ShardTable.open(str(folder / 'shards')),
    }
    order = np.random.default_rng(0).integers(0, count, reads)
    for name, table in tables.items():
        infos = [table.info(int(row)) for row in order]
        if name == 'files':
            sources = [ImageFile(info['img_path']) for info in infos]
            read_bytes = _read_file
        else:
            sources = [info['img_source'] for info in infos]
            read_bytes = ShardMember.read
        for what, read in (('bytes', read_bytes), ('images', _decode)):
            for source in sources[:count]:  # fills the caches
                read_bytes(source)
            start = time.perf_counter()
            for source in sources:
                read(source)
            rate = reads / (time.perf_counter() - start)
            print(f'{name:8} {rate:.0f} random reads/s of {what}, one thread')


def _read_file(source: ImageFile) -> bytes:
    """Read the bytes of a file."""
    return Path(source.name).read_bytes()


def _decode(source: ImageFile | ShardMember) -> np.ndarray:
    """Read the pixels of an image."""
    return source.read_image()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = parse_args(argv)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        for name in ('index', 'reads'):
            (Path(folder) / name).mkdir()
        time_index(Path(folder) / 'index', args.members)
        time_reads(Path(folder) / 'reads', args.reads, args.crops)


if __name__ == '__main__':
    start_command(main)
