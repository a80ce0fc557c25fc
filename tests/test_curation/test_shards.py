"""Shards hold the selected crops, in WebDataset's form, as the same bytes for all."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import tarfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from s5_mm.curation.shards import shard_writer
from s5_mm.curation.shards.shard_layout import WORK, lay_out
from s5_mm.curation.shards.shard_options import ShardOptions
from s5_mm.curation.shards.write_shards import read_options, write_shards
from s5_mm.io.crop_tables.parquet import ManifestError, read_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.shard_table import SHARDS_KEY
from s5_mm.io.images.header import ImageError

from .shard_world import OPTIONS, World, contents

pytest.importorskip('rasterio', reason='one of the sources is a TIFF')


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='module')
def made(world, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('made') / 'shards'
    write_shards(world.manifest, world.roots, folder, OPTIONS)
    return folder


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


# -- interruptions ---------------------------------------------------------------------
def _slowly(manifest: Path, roots: dict, folder: Path, jobs: int) -> None:
    """Materialise with pauses, so that a kill meets every phase."""
    encode, put = ShardOptions.encode, shard_writer.tar_header

    def slow_encode(self, pixels):
        time.sleep(0.002)
        return encode(self, pixels)

    def slow_header(name, size):
        time.sleep(0.002)
        return put(name, size)

    ShardOptions.encode, shard_writer.tar_header = slow_encode, slow_header
    write_shards(manifest, roots, folder, OPTIONS, jobs=jobs)


def test_killed_at_any_moment_it_goes_on(world, made, tmp_path) -> None:
    draws, context = random.Random(0), multiprocessing.get_context('fork')
    folder, kills, phases = tmp_path / 's', 0, set()
    for trial in range(30):
        process = context.Process(
            target=_slowly,
            args=(world.manifest, world.roots, folder, 1 + trial % 2),
        )
        process.start()
        process.join(draws.uniform(0, 0.08 * (trial + 1)))
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += process.exitcode == -signal.SIGKILL
        complete = contents(made)
        for path in folder.glob('*.tar'):
            assert path.read_bytes() == complete[path.name]
        phases.add(len(list(folder.glob('*.tar'))))
        if (folder / 'index.parquet').exists():
            break
    assert kills >= 3
    assert phases - {0, len(list(made.glob('*.tar')))}
    write_shards(world.manifest, world.roots, folder, OPTIONS)
    assert contents(folder) == complete


def test_a_full_disk_leaves_nothing_torn(world, made, tmp_path, monkeypatch) -> None:
    opened, calls = shard_writer.atomic_open, []

    @contextmanager
    def full(path):
        calls.append(path)

        class Disk:
            """Takes three shards, 700 bytes, and no more once it is full."""

            def __init__(self, file):
                self.file = file

            def tell(self):
                return self.file.tell()

            def write(self, data):
                if len(calls) <= 3:
                    return self.file.write(data)
                self.file.write(data[:700])
                raise OSError(28, 'No space left on device')

        with opened(path) as file:
            yield Disk(file)

    monkeypatch.setattr(shard_writer, 'atomic_open', full)
    with pytest.raises(OSError, match='No space left on device'):
        write_shards(world.manifest, world.roots, tmp_path, OPTIONS)
    monkeypatch.undo()
    assert not (tmp_path / 'index.parquet').exists()
    assert not [name for name in contents(tmp_path) if '.tmp-' in name]
    assert len(list(tmp_path.glob('*.tar'))) == 3
    write_shards(world.manifest, world.roots, tmp_path, OPTIONS)
    assert contents(tmp_path) == contents(made)


# -- errors ----------------------------------------------------------------------------
def test_a_folder_with_other_shards_is_refused(world, made, tmp_path) -> None:
    write_shards(world.manifest, world.roots, made, OPTIONS)  # nothing is left to do
    other = replace(OPTIONS, seed=1)
    with pytest.raises(ManifestError, match=r'index\.parquet: made with seed=0, now'):
        write_shards(world.manifest, world.roots, made, other)
    fewer = [r for r in world.rows if r['decision'] == 'selected'][1:]
    manifest = world.write_manifest(tmp_path / 'm.parquet', fewer)
    with pytest.raises(ManifestError, match='made from other selected crops'):
        write_shards(manifest, world.roots, made, OPTIONS)
    folder = tmp_path / 's'
    folder.mkdir()
    (folder / 'shard-000099.tar').write_bytes(b'')
    message = r'shard-000099\.tar: nothing says from what this shard was made'
    with pytest.raises(ManifestError, match=message):
        write_shards(world.manifest, world.roots, folder, OPTIONS)
    write_shards(world.manifest, world.roots, folder, other, overwrite=True)
    write_shards(world.manifest, world.roots, folder, OPTIONS, overwrite=True)
    assert contents(folder) == contents(made)


def test_damaged_shards_are_made_again(world, made, tmp_path, monkeypatch) -> None:
    folder = tmp_path / 's'
    shutil.copytree(made, folder)
    shard = folder / 'shard-000002.tar'
    shard.write_bytes(shard.read_bytes()[::-1])
    write_shards(world.manifest, world.roots, folder, OPTIONS)
    assert contents(folder) != contents(made)  # of the right size: not looked at
    encode, calls = ShardOptions.encode, []

    def stop_late(self, pixels):
        calls.append(1)
        if len(calls) == 50:
            raise OSError(5, 'stopped')
        return encode(self, pixels)

    monkeypatch.setattr(ShardOptions, 'encode', stop_late)
    for _ in range(2):  # it goes on where it was stopped
        with contextlib.suppress(OSError):
            write_shards(world.manifest, world.roots, folder, OPTIONS, overwrite=True)
    assert contents(folder) == contents(made)
    assert len(calls) < 2 * 64


def test_unfinished_work_with_other_options_is_refused(
    world, tmp_path, monkeypatch
) -> None:
    def stop(self, number):
        raise OSError(5, 'stopped')

    monkeypatch.setattr(shard_writer.ShardWriter, '__call__', stop)
    with pytest.raises(OSError, match='stopped'):
        write_shards(world.manifest, world.roots, tmp_path, OPTIONS)
    monkeypatch.undo()
    other = replace(OPTIONS, per_shard=9)
    message = r'spool/shards\.json: made with per_shard=7, now it is 9'
    with pytest.raises(ManifestError, match=message):
        write_shards(world.manifest, world.roots, tmp_path, other)


def test_work_of_an_earlier_version(world, made, tmp_path) -> None:
    shutil.copytree(made, tmp_path / 'finished')
    index = tmp_path / 'finished/index.parquet'
    table = read_table(index)
    record = json.loads(table.schema.metadata[SHARDS_KEY])
    del record['order']
    groups = (
        table.filter(pc.equal(table['shard'], n))
        for n in range(table['shard'][-1].as_py() + 1)
    )
    write_groups(index, table.schema, groups, {SHARDS_KEY: json.dumps(record).encode()})
    before = contents(tmp_path / 'finished')
    write_shards(world.manifest, world.roots, tmp_path / 'finished', OPTIONS)
    assert contents(tmp_path / 'finished') == before
    del record['num_bytes']
    begun = tmp_path / 'begun/spool/shards.json'
    begun.parent.mkdir(parents=True)
    begun.write_text(json.dumps(record))
    (begun.parent / 'work.parquet').write_bytes(b'of other columns')
    (tmp_path / 'begun/shard-000000.tar').write_bytes(b'of other crops')
    message = r'spool/shards\.json: begun by an earlier version of s5_mm, which ordered'
    with pytest.raises(ManifestError, match=message):
        write_shards(world.manifest, world.roots, tmp_path / 'begun', OPTIONS)
    write_shards(
        world.manifest, world.roots, tmp_path / 'begun', OPTIONS, overwrite=True
    )
    assert contents(tmp_path / 'begun') == contents(made)


def test_a_source_that_changed_is_an_error(tmp_path) -> None:
    world = World(tmp_path / 'w')
    source = tmp_path / 'w/air/large.png'
    cv2.imwrite(str(source), cv2.imread(str(source)) ^ 1)
    message = r'large\.png: the source has changed since it was scanned: its sha256'
    with pytest.raises(ManifestError, match=message):
        write_shards(world.manifest, world.roots, tmp_path / 's', OPTIONS)
    other = replace(OPTIONS, small='zero')
    world = World(tmp_path / 'v')
    with pytest.raises(ManifestError, match=r'small\.png: the pixels of the window x='):
        write_shards(world.manifest, world.roots, tmp_path / 't', other)
    (tmp_path / 'v/space/exact.jpg').unlink()
    with pytest.raises(ImageError, match=r'exact\.jpg: the file cannot be read'):
        write_shards(world.manifest, world.roots, tmp_path / 'u', OPTIONS)


def test_errors_of_the_manifest(world, tmp_path) -> None:
    def attempt(rows: list[dict], message: str, roots: dict | None = None) -> None:
        path = world.write_manifest(tmp_path / 'm.parquet', rows)
        with pytest.raises(ManifestError, match=r'm\.parquet: ' + message):
            write_shards(path, roots or world.roots, tmp_path / 's', OPTIONS)

    row = {**world.rows[0], 'decision': 'selected'}
    attempt([row, row], f'the crop {row["crop_id"]:016x} is selected twice')
    attempt([{**row, 'decision': 'dropped'}], "no row has the decision 'selected'")
    attempt([{**row, 'pixel_hash': None}], 'pixel_hash of 1 selected rows is null')
    message = r"has crops of the collection 'air', roots has \['space'\]"
    attempt([row], message, {'space': ''})
    table = read_table(world.manifest).drop_columns('pixel_hash')
    write_groups(tmp_path / 'm.parquet', table.schema, [table])
    with pytest.raises(ManifestError, match=r"no column \['pixel_hash'\]"):
        write_shards(tmp_path / 'm.parquet', None, tmp_path / 's', OPTIONS)


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(per_shard=0), 'per_shard=0, expected at least 1'),
        (dict(seed=-1), 'seed=-1, expected at least 0'),
        (dict(format='bmp'), "format='bmp', allowed are 'png', 'webp' and"),
        (dict(small='crop'), "small='crop', allowed are"),
        (dict(quality=95), "quality=95 with format='png', which is lossless"),
        (dict(format='jpeg', quality=94), 'quality=94, expected 95 to 100'),
    ],
)
def test_errors_of_the_options(wrong, message) -> None:
    with pytest.raises(ValueError, match='shards: ' + message):
        ShardOptions(**wrong)


def test_members_are_read_one_after_another(made) -> None:
    """As a stream without seeking, which is how WebDataset reads."""
    stream = io.BytesIO((made / 'shard-000003.tar').read_bytes())
    with tarfile.open(fileobj=stream, mode='r|') as archive:
        names = [member.name for member in archive]
    assert len(names) in (6, 7)
