"""Decode the crops of sources, encode them and write them into tar shards."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.atomic import atomic_open
from s5_mm.io.crop_tables.parquet import ManifestError, write_table
from s5_mm.io.crop_tables.row_groups import read_group
from s5_mm.io.crop_tables.selected import windows_of
from s5_mm.io.crop_tables.shard_table import member_name, shard_name
from s5_mm.io.hashing import hash_file, hash_pixels
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import decode_image
from s5_mm.io.images.rows import read_image_header
from s5_mm.io.images.source import TAR_BLOCK

from ..planning.crops import read_crops
from .shard_layout import INDEX
from .shard_options import ShardOptions

WORK_FILE = 'work.parquet'


def tar_header(name: str, size: int) -> bytes:
    """Make the header of a member: ustar, without owner and time.

    Args:
        name: Its name.
        size: Its bytes.

    Returns:
        512 bytes.
    """
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, 0, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def index_part(folder: Path, number: int) -> Path:
    """Rows of the index of one shard; written after the shard."""
    return folder / f'index-{number:06d}.parquet'


@dataclass(frozen=True)
class ShardWriter:
    """Writes the shards of a chunk; picklable.

    Attributes:
        scratch: Folder with the table of the work; takes the rows of the index.
        folder: Folder of the shards.
        options: How crops become files.
    """

    scratch: Path
    folder: Path
    options: ShardOptions

    def __call__(self, chunk: int) -> int:
        """Write the shards of a chunk, each whole or not at all.

        Args:
            chunk: Its row group in the table of the work.

        Returns:
            Number of crops.

        Raises:
            ManifestError: If a source has changed since it was scanned.
            ImageError: If a source is missing or damaged.
            OSError: If the disk is full.
        """
        work = read_group(self.scratch / WORK_FILE, chunk)
        members = self._members(work)
        shards, counts = np.unique(work['shard'].to_numpy(), return_counts=True)
        for number, count in zip(shards.tolist(), counts.tolist(), strict=True):
            self._write(number, islice(members, count))
        return len(work)

    def _write(
        self, number: int, members: Iterator[tuple[dict[str, Any], bytes]]
    ) -> None:
        """Write a shard and then its rows of the index."""
        rows = []
        with atomic_open(self.folder / shard_name(number)) as file:
            for row, data in members:
                file.write(
                    tar_header(member_name(row['crop_id'], row['format']), len(data))
                )
                row['shard'], row['offset'] = number, file.tell()
                rows.append(row)
                file.write(data)
                file.write(bytes(-len(data) % TAR_BLOCK))
            # Two empty blocks end an archive, which is filled up to whole records.
            file.write(bytes(2 * TAR_BLOCK))
            file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
        table = pa.Table.from_pylist(rows, INDEX)
        write_table(index_part(self.scratch, number), table)

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
                'size': len(data),
                'format': header.format if kept else options.kind,
                'pixel_hash': expected,
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
