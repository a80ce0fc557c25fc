"""Shards hold the selected crops, in WebDataset's form, as the same bytes for all."""

from __future__ import annotations

import collections
import hashlib
import io
import itertools
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from s5_mm.curation.shards import shard_writer
from s5_mm.curation.shards.shard_layout import WORK, lay_out
from s5_mm.curation.shards.shard_options import ShardOptions
from s5_mm.curation.shards.write_shards import read_options, write_shards
from s5_mm.io.crop_tables.parquet import read_table

from .shard_world import OPTIONS, contents

pytest.importorskip('rasterio', reason='one of the sources is a TIFF')


def members(folder: Path) -> list[tuple[str, str, tarfile.TarInfo, bytes]]:
    """Shard, name, header and bytes of all members, by Python's tarfile."""
    found = []
    for path in sorted(folder.glob('*.tar')):
        with tarfile.open(path, 'r:') as archive:
            for member in archive:
                data = archive.extractfile(member).read()
                found.append((path.name, member.name, member, data))
    return found


def test_every_selected_crop_is_there_once(world, made) -> None:
    found = members(made)
    names = [name.split('.')[0] for _, name, _, _ in found]
    assert sorted(names) == sorted(f'{crop_id:016x}' for crop_id in world.pixels)
    assert len(set(names)) == len(names) == 66
    kept = set()
    for _, name, header, data in found:
        crop_id = int(name.split('.')[0], 16)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decoded[..., ::-1], world.pixels[crop_id])
        source = world.file_of[crop_id]
        if data == source.read_bytes():
            kept.add(source.name)
        assert name.endswith('.jpg' if source.name == 'exact.jpg' else '.png')
        assert (header.mtime, header.uid, header.gid, header.mode) == (0, 0, 0, 0o644)
        assert header.uname == header.gname == ''
        assert header.pax_headers == {}
    assert kept == {'exact.jpg', 'exact.png'}
    assert sorted(os.listdir(made)) == [
        'index.parquet',
        *(f'shard-{number:06d}.tar' for number in range(len(os.listdir(made)) - 1)),
    ]


def test_the_index_says_where(world, made) -> None:
    index = read_table(made / 'index.parquet').to_pylist()
    assert [
        (f'shard-{row["shard"]:06d}.tar', row['offset'], row['size']) for row in index
    ] == [(shard, h.offset_data, h.size) for shard, _, h, _ in members(made)]
    for row, (_, name, _, data) in zip(index, members(made), strict=True):
        assert name.startswith(f'{row["crop_id"]:016x}.')
        assert row['sha256'] == hashlib.sha256(data).digest()
        crop = world.pixels[row['crop_id']]
        assert row['pixel_hash'] == hashlib.blake2b(crop, digest_size=16).digest()
        assert row['stored_hash'] is None


def test_sources_are_shuffled_and_their_crops_in_order(world, made, tmp_path) -> None:
    windows = {row['crop_id']: (row['y'], row['x']) for row in world.rows}

    def order(folder: Path) -> list[Path]:
        rows = read_table(folder / 'index.parquet').to_pylist()
        of_file = itertools.groupby(rows, lambda row: world.file_of[row['crop_id']])
        files = []
        for file, crops in of_file:
            files.append(file)
            places = [windows[row['crop_id']] for row in crops]
            assert places == sorted(places)
        assert len(set(files)) == len(files) == 8
        sizes = np.bincount([row['shard'] for row in rows])
        assert 0 < sizes.min() <= sizes.max() <= OPTIONS.per_shard
        return files

    orders = [order(made)]
    for seed in (1, 2):
        options = replace(OPTIONS, seed=seed)
        write_shards(world.manifest, world.roots, tmp_path / str(seed), options)
        orders.append(order(tmp_path / str(seed)))
    assert len(set(map(tuple, orders))) == 3


def test_small_sources_fill_shards() -> None:
    """Chunks end with a source; shards of a chunk differ by one crop at most."""
    counts = [1] * 30 + [3] * 10 + [40, 100]
    files = np.repeat(np.arange(len(counts)), counts)
    ids = np.random.default_rng(0).permutation(len(files)).astype(np.uint64)
    zeros = pa.array(np.zeros(len(files), np.int32))
    table = pa.table({name: zeros for name in WORK.names if name != 'shard'})
    table = table.set_column(0, 'crop_id', pa.array(ids))
    names = pa.array([f'{file}.png' for file in files]).dictionary_encode()
    table = table.set_column(1, 'file', names)
    chunks = lay_out(table, ShardOptions(per_shard=8))
    assert sorted(pa.concat_tables(chunks)['crop_id'].to_pylist()) == sorted(ids)
    shards, seen = [], set()
    for chunk in chunks:
        own = set(chunk['file'].to_pylist())
        assert not own & seen
        seen |= own
        sizes = list(collections.Counter(chunk['shard'].to_pylist()).values())
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= 8
        if chunk is not chunks[-1]:
            last = counts[int(chunk['file'][-1].as_py().split('.')[0])]
            assert len(chunk) - last < 8 <= len(chunk)
        shards += chunk['shard'].to_pylist()
    assert shards == sorted(shards)
    assert set(shards) == set(range(shards[-1] + 1))


@pytest.mark.parametrize(('jobs', 'reverse'), [(2, False), (1, True)])
def test_the_same_bytes_for_any_workers_and_order_of_the_manifest(
    world, made, tmp_path, jobs, reverse
) -> None:
    manifest, rows = tmp_path / 'm.parquet', world.rows
    world.write_manifest(manifest, rows[::-1] if reverse else rows)
    seen = []
    write_shards(
        manifest,
        world.roots,
        tmp_path / 's',
        OPTIONS,
        jobs=jobs,
        progress=lambda *counts: seen.append(counts),
    )
    assert contents(tmp_path / 's') == contents(made)
    assert seen[-1] == (66, 66)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_shards_are_rebuilt_from_a_released_manifest(world, made, tmp_path) -> None:
    selected = [row for row in world.rows if row['decision'] == 'selected']
    released = world.write_manifest(tmp_path / 'released.parquet', selected)
    options = read_options(made / 'index.parquet')
    assert options == OPTIONS
    write_shards(released, world.roots, tmp_path / 's', options)
    assert contents(tmp_path / 's') == contents(made)


def test_a_source_is_decoded_once(world, tmp_path, monkeypatch) -> None:
    calls = []
    read_crops = shard_writer.read_crops

    def counted(path, windows, *args):
        calls.append((path, len(windows)))
        return read_crops(path, windows, *args)

    monkeypatch.setattr(shard_writer, 'read_crops', counted)
    write_shards(world.manifest, world.roots, tmp_path, OPTIONS)
    assert len(calls) == len({path for path, _ in calls}) == 8
    assert sum(count for _, count in calls) == 66


@pytest.mark.parametrize('fmt', ['webp', 'jpeg'])
def test_other_formats(world, tmp_path, fmt) -> None:
    options = replace(OPTIONS, format=fmt, quality=97 if fmt == 'jpeg' else None)
    write_shards(world.manifest, world.roots, tmp_path, options)
    index = read_table(tmp_path / 'index.parquet').to_pylist()
    changed = 0
    for row, (_, name, _, data) in zip(index, members(tmp_path), strict=True):
        crop = world.pixels[row['crop_id']]
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]
        if world.file_of[row['crop_id']].name.startswith('exact.'):
            assert row['format'] == name.split('.')[1].upper().replace('JPG', 'JPEG')
        else:
            assert name.endswith('.webp' if fmt == 'webp' else '.jpg')
        if row['stored_hash'] is None:
            np.testing.assert_array_equal(decoded, crop)
            continue
        changed += 1
        pixels = np.ascontiguousarray(decoded)
        hashed = hashlib.blake2b(pixels, digest_size=16).digest()
        assert row['stored_hash'] == hashed != row['pixel_hash']
        assert np.abs(pixels.astype(int) - crop).mean() < 3
    assert changed == (0 if fmt == 'webp' else 64)


def test_members_are_read_one_after_another(made) -> None:
    """As a stream without seeking, which is how WebDataset reads."""
    stream = io.BytesIO((made / 'shard-000003.tar').read_bytes())
    with tarfile.open(fileobj=stream, mode='r|') as archive:
        names = [member.name for member in archive]
    assert len(names) in (6, 7)
