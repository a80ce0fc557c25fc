"""Whatever is wrong with shards is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from s5_mm.curation.shards.shard_check import verify_shards
from s5_mm.curation.shards.shard_layout import INDEX
from s5_mm.curation.shards.shard_writer import tar_header
from s5_mm.curation.shards.write_shards import write_shards
from s5_mm.io.crop_tables.parquet import ManifestError, read_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.shard_table import SHARDS_KEY, member_name

from .shard_world import OPTIONS

pytest.importorskip('rasterio', reason='one of the sources is a TIFF')
FIRST = 'shard-000000.tar'


@pytest.fixture
def shards(made, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / 'shards'))


def rows(folder: Path) -> list[dict]:
    return read_table(folder / 'index.parquet').to_pylist()


def count(folder: Path) -> int:
    """Number of shards."""
    return len(list(folder.glob('*.tar')))


def rewrite(shard: Path, members: list[tuple[str, bytes]]) -> None:
    """Write an archive in the same form."""
    data = b''
    for name, content in members:
        data += tar_header(name, len(content)) + content + bytes(-len(content) % 512)
    data += bytes(1024)
    shard.write_bytes(data + bytes(-len(data) % 10240))


def unpack(shard: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(shard) as archive:
        return [(m.name, archive.extractfile(m).read()) for m in archive]


def faults(folder: Path, **options: object) -> list[str]:
    """Faults without the folder."""
    found = verify_shards(folder, **options)
    return [fault.replace(f'{folder}/', '') for fault in found]


@pytest.mark.parametrize('jobs', [1, 2])
def test_good_shards_have_no_faults(world, made, jobs) -> None:
    seen = []
    assert not verify_shards(
        made, world.manifest, jobs, lambda *counts: seen.append(counts)
    )
    assert seen[-1] == (count(made), count(made))


def test_a_changed_byte_anywhere_is_found(shards) -> None:
    path = shards / FIRST
    good = path.read_bytes()
    row = rows(shards)[0]
    generator = np.random.default_rng(0)
    padding = row['offset'] + row['size']
    assert row['size'] % 512
    places = [0, 110, row['offset'] + 5, padding, len(good) - 1]
    for place in (*places, *generator.integers(0, len(good), 8)):
        data = bytearray(good)
        data[place] ^= 1
        path.write_bytes(data)
        found = faults(shards)
        assert found, place
        assert all(fault.startswith(FIRST) for fault in found)


def test_torn_shards(shards) -> None:
    path = shards / FIRST
    good = path.read_bytes()
    last = rows(shards)[5]
    name = member_name(last['crop_id'], last['format'])
    path.write_bytes(good[: last['offset'] + 9])
    found = faults(shards)
    assert (
        f'{FIRST}: torn, {name} ends at byte {last["offset"] + last["size"]}'
        in (found[0])
    )
    assert f'{FIRST}:{name}: missing' in found
    path.write_bytes(good[: last['offset'] - 512 + 100])
    assert f'{FIRST}: torn at byte {last["offset"] - 512} of' in faults(shards)[0]
    path.write_bytes(good[:-512])
    assert 'no proper end behind byte' in faults(shards)[0]
    path.unlink()
    assert faults(shards) == [f'{FIRST}: cannot be read (No such file or directory)']


def test_members_that_are_missing_surplus_or_swapped(shards) -> None:
    path, other = shards / FIRST, shards / 'shard-000001.tar'
    members, foreign = unpack(path), unpack(other)
    rewrite(path, members[:-1])
    assert faults(shards) == [f'{FIRST}:{members[-1][0]}: missing']
    rewrite(path, [*members, ('0' * 16 + '.png', b'1')])
    assert faults(shards) == [
        f'{FIRST}:{"0" * 16}.png: surplus, the index does not have it'
    ]
    rewrite(path, [*members, members[0]])
    assert f'{FIRST}:{members[0][0]}: surplus, it is there twice' in faults(shards)
    rewrite(path, [*members[:-1], foreign[0]])
    assert faults(shards) == [
        f'{FIRST}:{members[-1][0]}: missing',
        f'{FIRST}:{foreign[0][0]}: swapped, the index has it in shard-000001.tar',
    ]
    # Two members under each other's name.
    names, contents = zip(*members, strict=True)
    contents = (contents[1], contents[0], *contents[2:])
    rewrite(path, list(zip(names, contents, strict=True)))
    found = faults(shards)
    assert {fault.split(': ')[0] for fault in found} >= {
        f'{FIRST}:{names[0]}',
        f'{FIRST}:{names[1]}',
    }


def test_surplus_and_swapped_shards(shards) -> None:
    number = count(shards)
    more = shards / f'shard-{number:06d}.tar'
    shutil.copy(shards / FIRST, more)
    assert faults(shards) == [f'{more.name}: surplus, the index has {number} shards']
    more.rename(shards / 'shard-000001.tar')
    found = faults(shards)
    assert sum(f'swapped, the index has it in {FIRST}' in fault for fault in found) == (
        len(unpack(shards / FIRST))
    )
    assert all(fault.startswith('shard-000001.tar:') for fault in found)


def reindex(folder: Path, change) -> None:
    """Write the index again with other rows."""
    table = read_table(folder / 'index.parquet')
    record = table.schema.metadata[SHARDS_KEY]
    groups = [
        table.filter(np.equal(table['shard'].to_numpy(), number))
        for number in range(len(json.loads(record)['num_bytes']))
    ]
    groups = [
        type(group).from_pylist([change(row) for row in group.to_pylist()], INDEX)
        for group in groups
    ]
    write_groups(folder / 'index.parquet', INDEX, groups, {SHARDS_KEY: record})


def test_pixels_and_headers_are_compared_too(shards) -> None:
    first = rows(shards)[0]['crop_id']
    good = (shards / FIRST).read_bytes()

    def other_pixels(row: dict) -> dict:
        return {**row, 'pixel_hash': bytes(16)} if row['crop_id'] == first else row

    reindex(shards, other_pixels)
    (fault,) = faults(shards)
    assert fault.startswith(f'{FIRST}:{first:016x}.')
    assert 'its pixels are not those of the index although its bytes are' in fault
    member = tarfile.TarInfo.frombuf(good[:512], 'ascii', 'strict')
    member.mtime = 7
    changed = member.tobuf(tarfile.USTAR_FORMAT) + good[512:]
    (shards / FIRST).write_bytes(changed)
    assert 'its header has another owner, mode or time' in faults(shards)[0]


def test_a_member_that_is_no_image(shards) -> None:
    first = rows(shards)[0]
    path = shards / FIRST
    data = bytearray(path.read_bytes())
    start = first['offset']
    data[start : start + first['size']] = content = bytes(first['size'])
    path.write_bytes(data)

    def same_bytes(row: dict) -> dict:
        if row['crop_id'] != first['crop_id']:
            return row
        return {**row, 'sha256': hashlib.sha256(content).digest()}

    reindex(shards, same_bytes)
    (fault,) = faults(shards)
    assert 'not an image' in fault


def test_against_the_manifest(world, shards, tmp_path) -> None:
    selected = [row for row in world.rows if row['decision'] == 'selected']
    first, second, third = (row['crop_id'] for row in selected[:3])
    changed = [
        {**selected[0], 'decision': 'dropped'},
        {**selected[1], 'pixel_hash': bytes(16)},
        *selected[2:],
        {**selected[0], 'crop_id': 1},
    ]
    manifest = world.write_manifest(tmp_path / 'm.parquet', changed)
    found = faults(shards, manifest=manifest)
    assert len(found) == 3
    assert f'{first:016x}.png: not selected in {manifest}' in found[0]
    assert f'{second:016x}.png: made from other pixels than {manifest} has' in found[1]
    assert found[2] == (f'index.parquet: the crop {1:016x} of {manifest} is missing')
    assert f'{third:016x}' not in ''.join(found)


def test_lossy_members_are_compared_with_what_was_stored(world, tmp_path) -> None:
    options = replace(OPTIONS, format='jpeg')
    write_shards(world.manifest, world.roots, tmp_path, options)
    assert not verify_shards(tmp_path, world.manifest)
    row = next(row for row in rows(tmp_path) if row['stored_hash'])

    def original(other: dict) -> dict:
        same = other['crop_id'] == row['crop_id']
        return {**other, 'stored_hash': None} if same else other

    reindex(tmp_path, original)
    (fault,) = faults(tmp_path)
    assert f'{row["crop_id"]:016x}.jpg: its pixels are not' in fault


def test_errors_of_the_index(shards) -> None:
    path = shards / 'index.parquet'
    write_groups(path, INDEX, [read_table(path)])
    with pytest.raises(ValueError, match=r'index\.parquet: no index of shards'):
        verify_shards(shards)
    path.unlink()
    with pytest.raises(ManifestError, match=r'index\.parquet: the table does not'):
        verify_shards(shards)


def test_opencv_reads_the_members(made) -> None:
    for _, data in unpack(made / FIRST):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (OPTIONS.size, OPTIONS.size, 3)
