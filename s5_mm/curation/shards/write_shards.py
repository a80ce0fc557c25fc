"""Write the selected crops of a manifest into tar shards.

One pass: every source is decoded once, from the top down, and its crops go straight
into shards, which are written whole or not at all.  Sources follow each other in a
random order, but the crops of a source stay together: readers of tar streams shuffle.
Memory holds a band of a source and a crop per process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.atomic import remove_leftovers, write_json
from s5_mm.io.crop_tables.parquet import ManifestError, open_table, read_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.run_names import INDEX_FILE, SPOOL_FOLDER
from s5_mm.io.crop_tables.selected import read_selected
from s5_mm.io.crop_tables.shard_table import (
    SHARDS_KEY,
    check_shards,
    shard_name,
    shards_record,
)
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import Progress

from .shard_layout import INDEX, WORK, lay_out
from .shard_options import ShardOptions
from .shard_writer import WORK_FILE, ShardWriter, index_part

_RECORD_FILE = 'shards.json'
# In the record of unfinished work; earlier versions shuffled crops and wrote none.
_ORDER = 'sources'


def write_shards(
    manifest: str | os.PathLike[str],
    roots: Mapping[str, str] | None,
    folder: str | os.PathLike[str],
    options: ShardOptions,
    scratch: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the shards and then their index, which says that all are there.

    A call that was killed at any point is continued by the next one.  The bytes depend
    on the selected crops, the options and the version of the encoder alone: not on the
    number of processes, interruptions, or the order of the manifest.

    Args:
        manifest: The manifest of a run.
        roots: By the name of a collection, the folder of its images; None: paths are
            used as they are.
        folder: Folder of the shards.
        options: How crops become files; those of an index (:func:`read_options`) make
            its shards again.
        scratch: Folder for unfinished work; None: ``spool`` in ``folder``.  Removed at
            the end.
        jobs: Processes.
        overwrite: Make shards again that are complete, and remove those of other crops
            or options; work that was interrupted is continued all the same.
        progress: Called with the crops done and in all.

    Raises:
        ManifestError: If the manifest cannot be used, the folders hold something else,
            or a source has changed.
        ImageError: If a source is missing or damaged.
        OSError: If the disk is full; the next call continues.
    """
    folder = Path(folder)
    scratch = folder / SPOOL_FOLDER if scratch is None else Path(scratch)
    table = read_selected(manifest, roots, columns=('source_sha256', 'pixel_hash'))
    record = {
        'options': options.record(),
        'crops': _fingerprint(table),
        'order': _ORDER,
    }
    if overwrite:
        _clear(folder, scratch, record)
    if _is_complete(folder, scratch, record):
        shutil.rmtree(scratch, ignore_errors=True)
        return
    for place in (folder, scratch):
        place.mkdir(parents=True, exist_ok=True)
        remove_leftovers(place)
    write_json(scratch / _RECORD_FILE, record)
    chunks = lay_out(table, options)
    if not (scratch / WORK_FILE).exists():
        write_groups(scratch / WORK_FILE, WORK, chunks)
    shards = [np.unique(chunk['shard'].to_numpy()).tolist() for chunk in chunks]
    left = [
        number
        for number, of_chunk in enumerate(shards)
        if not all(_is_written(folder, scratch, shard) for shard in of_chunk)
    ]
    done = len(table) - sum(len(chunks[number]) for number in left)
    for count in map_unordered(ShardWriter(scratch, folder, options), left, jobs):
        done += count
        if progress is not None:
            progress(done, len(table))
    _write_index(folder, scratch, record, sum(map(len, shards)))
    shutil.rmtree(scratch)


def _is_written(folder: Path, scratch: Path, number: int) -> bool:
    """Tell whether a shard and its rows of the index are there."""
    parts = folder / shard_name(number), index_part(scratch, number)
    return all(path.exists() for path in parts)


def _write_index(
    folder: Path, scratch: Path, record: dict[str, Any], count: int
) -> None:
    """Join the rows of all shards."""
    sizes = [(folder / shard_name(number)).stat().st_size for number in range(count)]
    text = json.dumps({**record, 'num_bytes': sizes}, sort_keys=True)
    groups = (read_table(index_part(scratch, number)) for number in range(count))
    write_groups(folder / INDEX_FILE, INDEX, groups, {SHARDS_KEY: text.encode()})


def read_options(index: str | os.PathLike[str]) -> ShardOptions:
    """Read with which options shards were made.

    Args:
        index: Their index.

    Returns:
        The options.

    Raises:
        ManifestError: If the index is missing, damaged or of another version.
    """
    options = dict(_record_of(Path(index))['options'])
    options.pop('encoder')
    try:
        return ShardOptions(**options)
    except TypeError as error:
        raise ManifestError(f'{index}: options {options} ({error})') from error


def _fingerprint(table: pa.Table) -> str:
    """Hash the selected crops, in any order."""
    order = np.argsort(table['crop_id'].to_numpy())
    hashes = np.frombuffer(b''.join(table['pixel_hash'].to_pylist()), 'V16')
    digest = hashlib.sha256(table['crop_id'].to_numpy()[order].astype('<u8').tobytes())
    digest.update(hashes[order].tobytes())
    return digest.hexdigest()


def _record_of(index: Path) -> dict[str, Any]:
    """Read the record in an index."""
    return shards_record(str(index), open_table(index).schema_arrow.metadata)


def _is_complete(folder: Path, scratch: Path, record: dict[str, Any]) -> bool:
    """Tell whether nothing is left to do, and refuse folders with something else."""
    index, begun = folder / INDEX_FILE, scratch / _RECORD_FILE
    if index.exists():
        found = _record_of(index)
        _compare(index, found, record)
        check_shards(str(folder), found['num_bytes'])
        return True
    if begun.exists():
        found = json.loads(begun.read_text(encoding='utf-8'))
        if found.get('order') != _ORDER:
            raise ManifestError(
                f'{begun}: begun by an earlier version of s5_mm, which ordered crops '
                'in another way; take another folder, or overwrite it'
            )
        _compare(begun, found, record)
    elif shards := sorted(folder.glob('shard-*.tar')):
        raise ManifestError(
            f'{shards[0]}: nothing says from what this shard was made; take an empty '
            'folder, or overwrite it'
        )
    return False


def _compare(path: Path, found: dict[str, Any], record: dict[str, Any]) -> None:
    """Refuse work on other crops or with other options."""
    for name, wanted in record['options'].items():
        had = found['options'].get(name)
        if had != wanted:
            raise ManifestError(
                f'{path}: made with {name}={had!r}, now it is {wanted!r}; take another '
                'folder, or overwrite it'
            )
    if found['crops'] != record['crops']:
        raise ManifestError(
            f'{path}: made from other selected crops than the manifest has; take '
            'another folder, or overwrite it'
        )


def _clear(folder: Path, scratch: Path, record: dict[str, Any]) -> None:
    """Remove everything but the beginnings of the same work."""
    begun = scratch / _RECORD_FILE
    try:
        if json.loads(begun.read_text(encoding='utf-8')) == record:
            return
    except (OSError, ValueError):
        pass
    # The index goes first: shards without one are never read.
    (folder / INDEX_FILE).unlink(missing_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)
    for shard in folder.glob('shard-*.tar'):
        shard.unlink()
