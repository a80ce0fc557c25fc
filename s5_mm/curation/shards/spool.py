"""First pass of materialising: each source is decoded once, its crops are encoded.

The crops of a source belong to any of the shards, so they wait in spool files, in the
order in which they are decoded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.atomic import atomic_open
from s5_mm.io.crop_tables.parquet import ManifestError, write_table
from s5_mm.io.crop_tables.row_groups import read_group
from s5_mm.io.crop_tables.selected import windows_of
from s5_mm.io.hashing import hash_file, hash_pixels
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import decode_image
from s5_mm.io.images.rows import read_image_header

from ..planning.crops import read_crops
from .shard_options import ShardOptions

WORK = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('file', pa.string()),
        *((name, pa.int32()) for name in ('x', 'y', 'width', 'height')),
        ('source_sha256', pa.binary(32)),
        ('pixel_hash', pa.binary(16)),
    ]
)
"""Columns of the work: rows by file, y and x; a row group is a chunk."""

SPOOLED = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('chunk', pa.int32()),
        ('place', pa.int64()),  # first byte in the spool file; -1: the source is kept
        ('size', pa.int32()),
        ('format', pa.string()),
        ('stored_hash', pa.binary(16)),  # null if no pixel changed
        ('sha256', pa.binary(32)),
    ]
)
"""Columns of the table beside a spool file."""

WORK_FILE = 'work.parquet'


def spool_file(chunk: int) -> str:
    """Name of a spool file; its table has the suffix ``.parquet``."""
    return f'chunk-{chunk:06d}.bin'


@dataclass(frozen=True)
class SpoolWriter:
    """Decodes and encodes the crops of a chunk; picklable.

    Attributes:
        folder: Folder of the spool, with the table of the work.
        options: How crops become files.
    """

    folder: Path
    options: ShardOptions

    def __call__(self, chunk: int) -> int:
        """Write the spool file of a chunk, then its table, which says that it is done.

        Args:
            chunk: Its number.

        Returns:
            Number of crops.

        Raises:
            ManifestError: If a source has changed since it was scanned.
            ImageError: If a source is missing or damaged.
            OSError: If the disk is full.
        """
        work = read_group(self.folder / WORK_FILE, chunk)
        rows: list[dict[str, Any]] = []
        path = self.folder / spool_file(chunk)
        with atomic_open(path) as file:
            for row, data in self._members(work):
                kept = row['place'] < 0
                row['place'] = -1 if kept else file.tell()
                if not kept:
                    file.write(data)
                rows.append(row)
        table = pa.Table.from_pylist([{**row, 'chunk': chunk} for row in rows], SPOOLED)
        write_table(path.with_suffix('.parquet'), table)
        return len(rows)

    def _members(self, work: pa.Table) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield the row of each crop and the bytes of its file."""
        files = work['file'].to_numpy(zero_copy_only=False)
        first = np.flatnonzero(np.append(True, files[1:] != files[:-1]))
        for start, end in zip(first, np.append(first[1:], len(files)), strict=True):
            yield from self._members_of(files[start], work.slice(start, end - start))

    def _members_of(
        self, path: str, work: pa.Table
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Read the crops of one file."""
        options = self.options
        header = read_image_header(path, options.high_byte)
        kept = _read(path) if options.keeps(header) else None
        windows = windows_of(work)
        crops = read_crops(
            path, windows, options.size, options.small, options.high_byte
        )
        known = (work[key].to_pylist() for key in ('crop_id', 'pixel_hash'))
        for crop_id, expected, window, pixels in zip(
            *known, windows, crops, strict=True
        ):
            if hash_pixels(pixels) != expected:
                _explain(path, window, work['source_sha256'][0].as_py())
            data = kept or options.encode(pixels)
            row = {
                'crop_id': crop_id,
                'place': -1 if kept else 0,
                'size': len(data),
                'format': header.format if kept else options.kind,
                'stored_hash': None,
                'sha256': hashlib.sha256(data).digest(),
            }
            if options.lossy and not kept:
                row['stored_hash'] = hash_pixels(decode_image(data, path))
            yield row, data


def _read(path: str) -> bytes:
    """Read a file."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(path, f'the file cannot be read ({error.strerror})') from error


def _explain(path: str, window: np.ndarray, expected: bytes) -> None:
    """Say why the pixels of a crop are not those that were scanned."""
    x, y, width, height = window.tolist()
    found = hash_file(path)
    if found != expected:
        raise ManifestError(
            f'{path}: the source has changed since it was scanned: its sha256 is '
            f'{found.hex()[:16]}..., the manifest has {expected.hex()[:16]}...; bring '
            'the old file back, or run the curation again'
        )
    raise ManifestError(
        f'{path}: the pixels of the window x={x} y={y} {width}x{height} px are not '
        'those that were scanned although the file is the same; crop size, filling or '
        'the version of the decoder differ'
    )


def finished_chunks(folder: Path, count: int) -> list[int]:
    """Numbers of the chunks that need no more work.

    Args:
        folder: Folder of the spool.
        count: Number of chunks.

    Returns:
        Ascending numbers.
    """
    there = set(os.listdir(folder))
    tables = (Path(spool_file(n)).with_suffix('.parquet').name for n in range(count))
    return [number for number, name in enumerate(tables) if name in there]
