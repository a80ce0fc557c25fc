"""Stage ``write_shards``: the selected crops of a manifest become tar shards.

Two passes.  The first decodes every source once, from the top down, and puts the
encoded crops into spool files; the second puts them, in an order that a hash decides,
into shards.  Both work in units that are written whole or not at all, and memory holds
a band of a source and a crop.  Until it is done the spool takes as much of the disk as
the crops that had to be cut; those that are whole files are copied from their source.
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
from s5_mm.io.crop_tables.parquet import ManifestError, open_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.run_names import INDEX_FILE, SPOOL_FOLDER
from s5_mm.io.crop_tables.selected import read_selected
from s5_mm.io.crop_tables.shard_table import (
    SHARDS_KEY,
    check_shards,
    shards_record,
)
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import Progress

from .shard_layout import INDEX, lay_out, write_work
from .shard_options import ShardOptions
from .shard_writer import ShardWriter, unwritten_shards
from .spool import WORK_FILE, SpoolWriter, finished_chunks

_RECORD_FILE = 'shards.json'
# Crops of a chunk of the first pass: what a kill costs, some 15 s.
_CHUNK = 1024


def write_shards(
    manifest: str | os.PathLike[str],
    roots: Mapping[str, str] | None,
    folder: str | os.PathLike[str],
    options: ShardOptions,
    spool: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
    crops_per_chunk: int = _CHUNK,
) -> None:
    """Write the shards and then their index, which says that all are there.

    Killed anywhere it goes on where it was.  The bytes depend on the selected crops,
    the options and the version of the encoder alone: not on the number of processes,
    interruptions, or the order of the manifest.

    Args:
        manifest: The manifest of a run.
        roots: By the name of a collection, the folder of its images; None: paths are
            used as they are.
        folder: Folder of the shards.
        options: How crops become files; those of an index (:func:`read_options`) make
            its shards again.
        spool: Folder of the spool; None: ``spool`` in ``folder``.  Removed at the end.
        jobs: Processes.
        overwrite: Make shards again that are complete, and remove those of other crops
            or options; work that was interrupted goes on all the same.
        progress: Called with the crops done and in all; each counts twice, as it is
            encoded and as it is put into its shard.
        crops_per_chunk: Crops after which a spool file ends, with its source.

    Raises:
        ManifestError: If the manifest cannot be used, the folders hold something else,
            or a source has changed.
        ImageError: If a source is missing or damaged.
        OSError: If the disk is full; the next call goes on.
    """
    folder = Path(folder)
    spool = folder / SPOOL_FOLDER if spool is None else Path(spool)
    table = read_selected(manifest, roots, columns=('source_sha256', 'pixel_hash'))
    record = {'options': options.record(), 'crops': _fingerprint(table)}
    if overwrite:
        _clear(folder, spool, record)
    if _is_complete(folder, spool, record):
        shutil.rmtree(spool, ignore_errors=True)
        return
    for place in (folder, spool):
        place.mkdir(parents=True, exist_ok=True)
        remove_leftovers(place)
    write_json(spool / _RECORD_FILE, record)
    total = 2 * len(table)
    chunks = write_work(spool / WORK_FILE, table, crops_per_chunk)
    finished = finished_chunks(spool, len(chunks))
    done = sum(chunks[number] for number in finished)
    left = sorted(set(range(len(chunks))) - set(finished))
    for count in map_unordered(SpoolWriter(spool, options), left, jobs):
        done += count
        if progress is not None:
            progress(done, total)
    index = lay_out(spool, table, len(chunks), options)
    num_bytes = [layout[1] for layout in index]
    left = unwritten_shards(folder, num_bytes)
    done = total - sum(len(index[number][0]) for number in left)
    for count in map_unordered(ShardWriter(spool, folder), left, jobs):
        done += count
        if progress is not None:
            progress(done, total)
    text = json.dumps({**record, 'num_bytes': num_bytes}, sort_keys=True)
    write_groups(
        folder / INDEX_FILE,
        INDEX,
        (group for group, _ in index),
        {SHARDS_KEY: text.encode()},
    )
    shutil.rmtree(spool)


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


def _is_complete(folder: Path, spool: Path, record: dict[str, Any]) -> bool:
    """Tell whether nothing is left to do, and refuse folders with something else."""
    index, begun = folder / INDEX_FILE, spool / _RECORD_FILE
    if index.exists():
        found = _record_of(index)
        _compare(index, found, record)
        check_shards(str(folder), found['num_bytes'])
        return True
    if begun.exists():
        _compare(begun, json.loads(begun.read_text(encoding='utf-8')), record)
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


def _clear(folder: Path, spool: Path, record: dict[str, Any]) -> None:
    """Remove everything but the beginnings of the same work."""
    begun = spool / _RECORD_FILE
    try:
        if json.loads(begun.read_text(encoding='utf-8')) == record:
            return
    except (OSError, ValueError):
        pass
    # The index goes first: shards without one are never read.
    (folder / INDEX_FILE).unlink(missing_ok=True)
    shutil.rmtree(spool, ignore_errors=True)
    for shard in folder.glob('shard-*.tar'):
        shard.unlink()
