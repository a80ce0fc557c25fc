"""Shards after kills, full disks and damage, and the work that is refused."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import pyarrow.compute as pc
import pytest

from s5_mm.curation.shards import shard_writer
from s5_mm.curation.shards.shard_options import ShardOptions
from s5_mm.curation.shards.write_shards import write_shards
from s5_mm.io.crop_tables.parquet import ManifestError, read_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.shard_table import SHARDS_KEY
from s5_mm.io.images.header import ImageError

from .shard_world import OPTIONS, World, contents

pytest.importorskip('rasterio', reason='one of the sources is a TIFF')


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
