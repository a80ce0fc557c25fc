"""Stage ``plan``: from collections of images to a table of virtual crops."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import (
    CROPS,
    SOURCES,
    ManifestError,
    open_table,
    part_name,
    read_table,
    write_table,
)
from s5_mm.io.crop_tables.run_names import SOURCES_FILE
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.rows import read_image_header
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import Progress

from .collections import Collection
from .crop_grid import CropGrid, crop_ids

_NAMES_FILE = 'names.parquet'
_HEADERS = 'headers-{:06d}.parquet'
# Names whose headers are read before they are written down: what a kill costs.
_CHUNK = 2048


def plan(
    collections: Sequence[Collection],
    grid: CropGrid,
    folder: Path,
    rows_per_part: int = 4096,
    high_byte: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write the table of sources and the parts with their crops.

    An image that cannot be read is a row of the sources with a ``problem`` and gives no
    crop.  What was written by a run that was killed is used, and the result does not
    depend on it, nor on ``jobs``.

    Args:
        collections: What to draw from.
        grid: How crops lie in images; collections may say otherwise.
        folder: Folder of the plan.
        rows_per_part: A part ends after the source with which it reaches this many
            crops.  A source is never split, so that it is decoded once a pass.
        high_byte: Accept images with 16-bit samples.
        jobs: Processes that read headers.
        progress: Called with the number of sources read and in all.

    Raises:
        ManifestError: If there is no crop at all, or two have the same identifier.
    """
    total = _list_names(collections, folder)
    starts = range(0, total, _CHUNK)
    files = {start: folder / _HEADERS.format(start // _CHUNK) for start in starts}
    missing = [start for start in starts if not files[start].exists()]
    done = total - sum(min(_CHUNK, total - start) for start in missing)
    read = partial(_read_chunk, collections, folder, high_byte)
    for count in map_unordered(read, missing, jobs):
        done += count
        if progress is not None:
            progress(done, total)
    chunks = [read_table(file) for file in files.values()]
    sources = pa.concat_tables(chunks)
    _write_parts(collections, grid, folder, sources, rows_per_part)
    write_table(folder / SOURCES_FILE, sources)
    for leftover in (*folder.glob('headers-*.parquet'), folder / _NAMES_FILE):
        leftover.unlink(missing_ok=True)


def _list_names(collections: Sequence[Collection], folder: Path) -> int:
    """List all images, unless a run that was killed has; returns their number."""
    path = folder / _NAMES_FILE
    if not path.exists():
        numbers, names = [], []
        for number, collection in enumerate(collections):
            own = list(collection.names())
            numbers.append(np.full(len(own), number, np.int32))
            names += [os.fsencode(name) for name in own]
        columns = {'collection': np.concatenate(numbers), 'path': names}
        # A chunk is read without the others.
        write_table(path, pa.table(columns), row_group_size=_CHUNK)
    return open_table(path).metadata.num_rows


def _read_chunk(
    collections: Sequence[Collection], folder: Path, high_byte: bool, start: int
) -> int:
    """Read the headers of some images and write them down."""
    chunk = open_table(folder / _NAMES_FILE).read_row_group(start // _CHUNK)
    rows = []
    pairs = zip(chunk['collection'].to_pylist(), chunk['path'].to_pylist(), strict=True)
    for number, (which, name) in enumerate(pairs, start):
        collection, path = collections[which], os.fsdecode(name)
        rows.append((number, collection.name, *_describe(collection, path, high_byte)))
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pa.table(columns, SOURCES)
    write_table(folder / _HEADERS.format(start // _CHUNK), table)
    return len(rows)


def _describe(collection: Collection, path: str, high_byte: bool) -> tuple:
    """Give the columns of a source behind its collection."""
    full = os.path.join(collection.root, path)
    # A name that is no text cannot be a value of a table.
    shown = path.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')
    try:
        if shown != path:
            raise ImageError(full, 'the name is not UTF-8, rename the file')
        status = os.stat(full)
        header = read_image_header(full, high_byte)
    except (ImageError, OSError) as error:
        reason = error.reason if isinstance(error, ImageError) else error.strerror
        return shown, 0, 0, '', 0, 0, reason or 'cannot be read'
    sides = header.width, header.height, header.format
    return shown, *sides, status.st_size, status.st_mtime_ns, ''


def _write_parts(
    collections: Sequence[Collection],
    grid: CropGrid,
    folder: Path,
    sources: pa.Table,
    rows_per_part: int,
) -> None:
    """Lay the grids over the images and write the crops, a part after another."""
    number, rows, ids = 0, [], []
    count = 0
    for crops in _crops_of(collections, grid, sources):
        rows.append(crops)
        ids.append(crops[0])
        count += len(crops[0])
        if count >= rows_per_part:
            _write_part(folder / part_name(number), rows)
            number, rows, count = number + 1, [], 0
    if rows:
        _write_part(folder / part_name(number), rows)
    if not ids:
        unread = sum(map(bool, sources['problem'].to_pylist()))
        raise ManifestError(
            f'{folder}: no crop in {len(sources)} images, of which {unread} cannot be '
            f'read (the first: {sources["problem"][0].as_py()!r}) and the others are '
            f'smaller than crop.min_size={grid.min_size}, or than crop.size='
            f'{grid.size} with small={grid.small!r}'
        )
    known = np.concatenate(ids)
    if len(np.unique(known)) != len(known):
        raise ManifestError(
            f'{folder}: two crops have the same identifier; an image is listed twice '
            'in a collection'
        )


def _crops_of(
    collections: Sequence[Collection], grid: CropGrid, sources: pa.Table
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Yield identifiers, source and windows of the images that have crops."""
    grids = {
        collection.name: replace(
            grid,
            stride=collection.stride or grid.stride,
            max_crops=collection.max_crops or grid.max_crops,
        )
        for collection in collections
    }
    columns = ('source', 'collection', 'path', 'width', 'height')
    for batch in sources.select(columns).to_batches(max_chunksize=_CHUNK):
        for source, name, path, width, height in zip(
            *(batch[column].to_pylist() for column in columns), strict=True
        ):
            if not width:  # it cannot be read
                continue
            own = grids[name]
            windows = own.windows(width, height)
            ids = crop_ids(name, path, windows)
            kept = own.choose(windows, ids)
            if len(kept):
                yield ids[kept], source, windows[kept]


def _write_part(path: Path, rows: Sequence[tuple[np.ndarray, int, np.ndarray]]) -> None:
    """Write the crops of some sources."""
    ids = np.concatenate([row[0] for row in rows])
    sources = np.repeat(
        np.array([row[1] for row in rows], np.int32), [len(row[0]) for row in rows]
    )
    windows = np.concatenate([row[2] for row in rows]).astype(np.int32)
    write_table(path, pa.table([ids, sources, *windows.T.copy()], CROPS))
