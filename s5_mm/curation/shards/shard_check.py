"""Stage ``verify``: every byte and every pixel of shards against index and manifest."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow.compute as pc

from s5_mm.io.crop_tables.parquet import open_table, read_table
from s5_mm.io.crop_tables.row_groups import read_group
from s5_mm.io.crop_tables.run_names import INDEX_FILE
from s5_mm.io.crop_tables.selected import read_selected
from s5_mm.io.crop_tables.shard_table import (
    member_name,
    shard_name,
    shards_record,
)
from s5_mm.io.hashing import hash_pixels
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import decode_image
from s5_mm.io.images.source import TAR_BLOCK
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import Progress

from .shard_writer import tar_header


def verify_shards(
    folder: str | os.PathLike[str],
    manifest: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[str]:
    """Look at all of a folder of shards.

    Args:
        folder: The folder.
        manifest: The manifest that they were made from; None compares them with their
            index alone.
        jobs: Processes.
        progress: Called with the number of shards looked at and in all.

    Returns:
        What is wrong, a line a fault, each beginning with the shard, the member or the
        table: members and shards that are missing, torn, in another's place, changed or
        too many, and crops that are not those of the manifest.  None if all is well.

    Raises:
        ManifestError: If a table is missing, damaged or of another version.
    """
    folder = Path(folder)
    path = folder / INDEX_FILE
    num_bytes = shards_record(str(path), open_table(path).schema_arrow.metadata)[
        'num_bytes'
    ]
    faults = list(_other_files(folder, len(num_bytes)))
    if manifest is not None:
        faults += _against_manifest(path, manifest)
    check = ShardCheck(folder)
    found: dict[int, list[str]] = {}
    for number, faults_of_shard in map_unordered(check, range(len(num_bytes)), jobs):
        found[number] = faults_of_shard
        if progress is not None:
            progress(len(found), len(num_bytes))
    return faults + [fault for number in sorted(found) for fault in found[number]]


class _Found(NamedTuple):
    """A member as it lies in an archive: where, how long, and its header."""

    offset: int
    size: int
    header: bytes


@dataclass(frozen=True)
class ShardCheck:
    """Looks at one shard; picklable.

    Attributes:
        folder: Folder of the shards.
    """

    folder: Path

    def __call__(self, number: int) -> tuple[int, list[str]]:
        """Compare a shard with its rows of the index.

        Args:
            number: Its number.

        Returns:
            The number and what is wrong.
        """
        path = self.folder / shard_name(number)
        rows = read_group(self.folder / INDEX_FILE, number).to_pylist()
        wanted = {member_name(row['crop_id'], row['format']): row for row in rows}
        faults: list[str] = []
        try:
            with open(path, 'rb') as file:
                found, end = _members(file, path, faults)
                for name, row in wanted.items():
                    if name in found:
                        fault = _fault_of(file, name, found[name], row)
                    else:
                        fault = 'missing'
                    if fault:
                        faults.append(f'{path}:{name}: {fault}')
                faults += _tail(file, path, end)
        except OSError as error:
            return number, [f'{path}: cannot be read ({error.strerror})']
        for name in found:
            if name not in wanted:
                faults.append(f'{path}:{name}: {self._whose(name, number)}')
        return number, faults

    def _whose(self, name: str, number: int) -> str:
        """Say where a member belongs that is not in the index of its shard."""
        try:
            shard = self._shard_of.get(int(name.split('.')[0], 16))
        except ValueError:
            shard = None
        if shard is None or shard == number:
            return 'surplus, the index does not have it'
        return f'swapped, the index has it in {shard_name(shard)}'

    @cached_property
    def _shard_of(self) -> Mapping[int, int]:
        """Shard of each crop."""
        index = read_table(self.folder / INDEX_FILE, ['crop_id', 'shard'])
        columns = (index[name].to_pylist() for name in ('crop_id', 'shard'))
        return dict(zip(*columns, strict=True))


def _members(
    file: BinaryIO, path: Path, faults: list[str]
) -> tuple[dict[str, _Found], int]:
    """Walk through the headers of an archive, and give the place behind the last."""
    found: dict[str, _Found] = {}
    position, total = 0, os.fstat(file.fileno()).st_size
    while True:
        file.seek(position)
        header = file.read(TAR_BLOCK)
        if header == bytes(TAR_BLOCK):
            return found, position
        try:
            member = tarfile.TarInfo.frombuf(header, 'utf-8', 'surrogateescape')
        except tarfile.HeaderError as error:
            faults.append(f'{path}: torn at byte {position} of {total} ({error})')
            return found, position
        start = position + TAR_BLOCK
        if start + member.size > total:
            faults.append(
                f'{path}: torn, {member.name} ends at byte {start + member.size}, the '
                f'file at {total}'
            )
            return found, position
        if member.name in found:
            faults.append(f'{path}:{member.name}: surplus, it is there twice')
        found[member.name] = _Found(start, member.size, header)
        position = start + -(-member.size // TAR_BLOCK) * TAR_BLOCK


def _fault_of(
    file: BinaryIO, name: str, found: _Found, row: Mapping[str, Any]
) -> str | None:
    """Compare a member with its row of the index."""
    if (found.offset, found.size) != (row['offset'], row['size']):
        return (
            f'{found.size} bytes at byte {found.offset}, the index has {row["size"]} '
            f'at {row["offset"]}'
        )
    if found.header != tar_header(name, found.size):
        return 'its header has another owner, mode or time'
    file.seek(found.offset)
    data = file.read(found.size)
    if hashlib.sha256(data).digest() != row['sha256']:
        return 'its bytes changed: their sha256 is not that of the index'
    if any(file.read(-found.size % TAR_BLOCK)):
        return 'what fills up its last block is not zero'
    try:
        pixels = decode_image(data, name)
    except ImageError as error:
        return error.reason
    if hash_pixels(pixels) != (row['stored_hash'] or row['pixel_hash']):
        return (
            'its pixels are not those of the index although its bytes are; the version '
            'of the decoder differs'
        )
    return None


def _tail(file: BinaryIO, path: Path, end: int) -> Iterator[str]:
    """Look at what follows the last member."""
    file.seek(end)
    rest = file.read()
    whole = (end + len(rest)) % tarfile.RECORDSIZE == 0
    if any(rest) or len(rest) < 2 * TAR_BLOCK or not whole:
        yield f'{path}: no proper end behind byte {end}; torn, or written to'


def _other_files(folder: Path, count: int) -> Iterator[str]:
    """Name shards that the index does not know."""
    known = {shard_name(number) for number in range(count)}
    for path in sorted(folder.glob('*.tar')):
        if path.name not in known:
            yield f'{path}: surplus, the index has {count} shards'


def _against_manifest(path: Path, manifest: str | os.PathLike[str]) -> Iterator[str]:
    """Compare the crops of an index with those of a manifest."""
    index = read_table(path, ['crop_id', 'pixel_hash', 'shard', 'format'])
    selected = read_selected(manifest, columns=['pixel_hash'])
    place = pc.index_in(index['crop_id'], selected['crop_id'])
    known = pc.take(selected['pixel_hash'], place)
    unknown = pc.is_null(place)
    wrong = pc.fill_null(pc.not_equal(known, index['pixel_hash']), False)
    for mask, what in (
        (unknown, f'not selected in {manifest}'),
        (wrong, f'made from other pixels than {manifest} has'),
    ):
        for row in index.filter(mask).to_pylist():
            name = member_name(row['crop_id'], row['format'])
            yield f'{path.parent / shard_name(row["shard"])}:{name}: {what}'
    missing = np.setdiff1d(selected['crop_id'].to_numpy(), index['crop_id'].to_numpy())
    for crop_id in missing.tolist():
        yield f'{path}: the crop {crop_id:016x} of {manifest} is missing'
