"""Shards and manifests of a curation run as sources of unlabelled images."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import resource
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader

from s5_mm.curation.shards.shard_layout import INDEX
from s5_mm.curation.shards.write_shards import write_shards
from s5_mm.datasets import MultiSourceDataset, UnlabelledDataset
from s5_mm.datasets.verification import scan, verify_dataset
from s5_mm.io.crop_tables import parquet as tables
from s5_mm.io.crop_tables.parquet import read_table
from s5_mm.io.crop_tables.row_groups import write_groups
from s5_mm.io.crop_tables.shard_table import SHARDS_KEY, ShardTable
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.source import ShardMember
from s5_mm.io.open_files import OpenFiles
from s5_mm.utils.randomness import SampleKey, StreamIndex
from tests.test_curation.shard_world import OPTIONS, SIZE, World

from .files import UNLABELLED, write

pytest.importorskip('rasterio', reason='one of the sources is a TIFF')
ANY = [{'type': 's5_mm.LoadImage', 'alpha': 'drop', 'grey': 'repeat'}, *UNLABELLED[1:]]


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='module')
def made(world, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('made') / 'shards'
    write_shards(world.manifest, world.roots, folder, OPTIONS)
    return folder


@pytest.fixture
def shards(made, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / 'shards'))


def open_manifest(world: World, **options: object) -> UnlabelledDataset:
    return UnlabelledDataset(
        data_root=str(world.folder),
        manifest='manifest.parquet',
        roots={'air': 'air', 'space': 'space'},
        pipeline=ANY,
        **options,
    )


def test_samples_from_shards_windows_and_files_are_the_same(
    world, made, tmp_path
) -> None:
    for crop_id in world.pixels:
        write(tmp_path / f'{crop_id:016x}.png', world.pixels[crop_id])
    files = UnlabelledDataset(data_dir=str(tmp_path), pipeline=UNLABELLED)
    packed = UnlabelledDataset(
        data_root=str(made.parent), shards='shards', pipeline=UNLABELLED
    )
    windows = open_manifest(world, crop_size=SIZE)
    assert len(files) == len(packed) == len(windows) == len(world.pixels)
    for row in range(len(files)):
        index = StreamIndex(row, SampleKey(3, 1, 7 * row))
        one, two, three = files[index], packed[index], windows[index]
        assert torch.equal(one['inputs'], two['inputs'])
        assert torch.equal(one['inputs'], three['inputs'])
        metas = [sample['data_samples'].metainfo for sample in (one, two, three)]
        names = [meta.pop('img_path') for meta in metas]
        assert metas[0] == metas[1] == metas[2]
        stem = Path(names[0]).stem
        assert names[1].split(':')[1].split('.')[0] == stem
        member = packed.get_data_info(row)['img_source']
        assert isinstance(member, ShardMember)
        pixels = member.read_image()
        np.testing.assert_array_equal(pixels, world.pixels[int(stem, 16)])


def test_windows_are_left_as_they_are_without_a_crop_size(world) -> None:
    dataset = open_manifest(world)
    for row in range(len(dataset)):
        info = dataset.get_data_info(row)
        if 'small.png' in info['img_path']:
            assert info['img_path'] == (
                f'{world.folder}/space/small.png[x=0 y=0 27x20]'
            )
            assert info['img_source'].read_image().shape == (20, 27, 3)
            return
    raise AssertionError


def test_windows_of_a_tiff_that_is_too_large_to_be_decoded_whole(
    world, monkeypatch
) -> None:
    dataset = open_manifest(world)
    windows = [dataset.get_data_info(row)['img_source'] for row in range(len(dataset))]
    windows = [window for window in windows if window.name.endswith('.tif')]
    assert windows
    from s5_mm.io.images import header, raster, read

    monkeypatch.setattr(read, 'MAX_PIXELS', 10)
    monkeypatch.setattr(raster.read_raster_header, '__defaults__', (10,))
    monkeypatch.setattr(raster.raster_header, '__defaults__', (10,))
    monkeypatch.setattr(header.check_size, '__defaults__', (10,))
    for window in windows:
        assert window.read_image().shape == (SIZE, SIZE, 3)
        assert window.read_header()[:3] == ('TIFF', SIZE, SIZE)


def test_a_plain_parquet_list_is_still_one(world, tmp_path) -> None:
    import pyarrow.parquet as pq

    name = str(world.folder / 'air/large.png')
    pq.write_table(pa.table({'path': [name]}), tmp_path / 'list.parquet')
    dataset = UnlabelledDataset(manifest=str(tmp_path / 'list.parquet'))
    assert dataset.get_data_info(0) == {'img_path': name, 'sample_idx': 0}


# -- processes -------------------------------------------------------------------------
def test_workers_of_either_kind_read_the_same(made) -> None:
    dataset = UnlabelledDataset(shards=str(made), pipeline=UNLABELLED)
    expected = [dataset[row]['inputs'] for row in range(8)]  # files are open now
    for start, workers in (('fork', 2), ('spawn', 1)):
        loader = DataLoader(
            torch.utils.data.Subset(dataset, range(8)),
            batch_size=None,
            num_workers=workers,
            multiprocessing_context=start,
        )
        for one, two in zip(loader, expected, strict=True):
            assert torch.equal(one['inputs'], two)


def test_a_pickle_is_small_and_mapped(tmp_path) -> None:
    count = 1_000_000
    folder = index_of(tmp_path, count)
    table = ShardTable.open(str(folder))
    assert len(table) == count
    data = pickle.dumps(table)
    assert len(data) < 2000
    before = pa.total_allocated_bytes()
    again = pickle.loads(data)
    assert pa.total_allocated_bytes() - before < 10_000  # of 26 MB
    assert again[123_456] == table[123_456]
    assert copy.deepcopy(table).rows is table.rows


def index_of(folder: Path, count: int, per_shard: int = 100_000) -> Path:
    """Write an index of shards that are empty files."""

    def repeat(value: str | bytes, kind: pa.DataType) -> pa.Array:
        return pa.array([value], kind).take(np.zeros(per_shard, np.int32))

    rng = np.random.default_rng(0)
    groups = []
    for number in range(count // per_shard):
        columns = {
            'crop_id': rng.integers(0, 2**64, per_shard, np.uint64),
            'shard': np.full(per_shard, number, np.int32),
            'offset': np.arange(per_shard) * 1024 + 512,
            'size': np.full(per_shard, 400, np.int32),
            'format': repeat('PNG', pa.string()),
            'pixel_hash': repeat(bytes(16), pa.binary(16)),
            'stored_hash': pa.nulls(per_shard, pa.binary(16)),
            'sha256': repeat(bytes(32), pa.binary(32)),
        }
        groups.append(pa.table(columns, INDEX))
        (folder / f'shard-{number:06d}.tar').touch()
    record = json.dumps({'num_bytes': [0] * len(groups), 'options': {}})
    write_groups(folder / 'index.parquet', INDEX, groups, {SHARDS_KEY: record.encode()})
    return folder


def test_a_bounded_number_of_files_is_open(tmp_path, monkeypatch) -> None:
    for number in range(9):
        (tmp_path / str(number)).write_bytes(bytes([number]) * 100)
    files, opened, closed = OpenFiles(4), [], []
    open_, close = os.open, os.close
    monkeypatch.setattr(os, 'open', lambda *a: opened.append(a[0]) or open_(*a))
    monkeypatch.setattr(os, 'close', lambda n: closed.append(n) or close(n))
    for number in (0, 1, 2, 3, 0, 1, 2, 3, 0):
        assert files.read(str(tmp_path / str(number)), 9, 5) == bytes([number]) * 5
    assert len(opened) == len(files) == 4
    assert not closed
    files.read(str(tmp_path / '4'), 0, 1)  # pushes out 1, which was read first
    assert (len(opened), len(closed), len(files)) == (5, 1, 4)
    files.read(str(tmp_path / '0'), 0, 1)
    files.read(str(tmp_path / '1'), 0, 1)
    assert (len(opened), len(closed)) == (6, 2)
    assert files.read(str(tmp_path / '1'), 98, 9) == b'\x01\x01'  # the file ends
    del files
    assert len(closed) == 6
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert OpenFiles().limit == soft // 2
    with pytest.raises(FileNotFoundError):
        OpenFiles().read(str(tmp_path / 'none'), 0, 1)


# -- what is broken --------------------------------------------------------------------
def spoil(shards: Path, crop_id: int, data: bytes, shift: int = 0) -> str:
    """Write over the start of a member and give its name."""
    for row in read_table(shards / 'index.parquet').to_pylist():
        if row['crop_id'] == crop_id:
            path = shards / f'shard-{row["shard"]:06d}.tar'
            with open(path, 'r+b') as file:
                file.seek(row['offset'] + shift)
                file.write(data)
            return f'{path}:{crop_id:016x}.{row["format"].lower()}'
    raise AssertionError


def test_a_broken_member_is_replaced(world, shards) -> None:
    crop_id = min(world.pixels)
    name = spoil(shards, crop_id, b'no image at all')
    dataset = UnlabelledDataset(shards=str(shards), pipeline=UNLABELLED)
    sample = MultiSourceDataset({'u': dataset})[0]
    ((path, reason),) = sample['data_samples'].replaced
    assert path == name
    assert 'shard-0' in path
    assert reason.startswith("not an image: it starts with b'no image at")
    assert sample['data_samples'].img_path != name
    reports = list(scan(dataset, 'headers'))
    assert [report.problems for report in reports if report.problems] == [
        [(name, reason)]
    ]
    with pytest.raises(ValueError, match=r'1 bad file\(s\) in 66 samples'):
        verify_dataset(dataset, 'full', jobs=2)


def test_good_shards_and_windows_pass_the_check(world, made) -> None:
    dataset = UnlabelledDataset(shards=str(made), pipeline=UNLABELLED)
    for checked in (dataset, open_manifest(world), open_manifest(world, crop_size=64)):
        for depth in ('headers', 'full'):
            verify_dataset(checked, depth)
            for report in scan(checked, depth):
                assert report.size
    sizes = {report.size for report in scan(open_manifest(world), 'headers')}
    assert sizes == {(SIZE, SIZE), (27, 20)}


def test_a_shard_of_another_version_is_told_by_its_headers(world, shards) -> None:
    crop_id = min(world.pixels)
    dataset = UnlabelledDataset(shards=str(shards), pipeline=UNLABELLED)
    name = spoil(shards, crop_id, b'fedcba9876543210', shift=-512)
    message = (
        rf'{name}: at byte \d+ the shard holds b.fedcba9876543210\.png.; the index is '
        'of another version'
    )
    with pytest.raises(ImageError, match=message):
        dataset.paths.member(0).read()
    dataset.paths.files = OpenFiles()
    path = Path(dataset.paths.member(0).shard)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ImageError, match=r'\.tar:\w+\.png: truncated shard: it ends'):
        dataset.paths.member(0).read_image()
    dataset.paths.files = OpenFiles()
    path.unlink()
    message = r'\.tar:\w+\.png: the shard cannot be read \(No such file'
    with pytest.raises(ImageError, match=message):
        dataset.paths.member(0).read_header()


def test_errors_when_shards_open(shards, monkeypatch) -> None:
    def attempt(error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            UnlabelledDataset(shards=str(shards))

    path = shards / 'index.parquet'
    index, good = read_table(path), path.read_bytes()
    torn = shards / 'shard-000004.tar'
    content = torn.read_bytes()
    torn.write_bytes(content[:-1])
    attempt(
        ValueError,
        rf'shard-000004\.tar: {len(content) - 1} bytes, the index expects '
        rf'{len(content)}; the shard is torn',
    )
    torn.unlink()
    (shards / 'shard-000005.tar').unlink()
    attempt(
        FileNotFoundError, r'2 of \d+ shards are missing, the first is shard-000004'
    )
    path.unlink()
    attempt(FileNotFoundError, r'index\.parquet: the index of the shards does not')
    path.write_bytes(good[:-9])
    attempt(ValueError, r'index\.parquet: no Parquet file, or a torn one')
    write_groups(path, INDEX, [index])
    attempt(ValueError, r'index\.parquet: no index of shards \(its metadata has no')
    record = {SHARDS_KEY: json.dumps({'num_bytes': []}).encode()}
    write_groups(path, INDEX, [], record)
    attempt(ValueError, r'index\.parquet: the index has no rows')
    rows = [{**row, 'format': 'BMP'} for row in index.to_pylist()]
    write_groups(path, INDEX, [type(index).from_pylist(rows, INDEX)], record)
    attempt(ValueError, r"index\.parquet: formats \['BMP'\], allowed are \['PNG'")
    monkeypatch.setattr(tables, 'MANIFEST_VERSION', '0')
    write_groups(path, INDEX, [index], record)
    monkeypatch.undo()
    attempt(ValueError, r"index\.parquet: s5_mm\.manifest_version is '0', this code")


def test_errors_of_windows(world, tmp_path) -> None:
    row = {**world.rows[0], 'decision': 'selected'}

    def dataset(changed: dict, **options: object) -> UnlabelledDataset:
        path = world.write_manifest(tmp_path / 'm.parquet', [{**row, **changed}])
        options = {'roots': {'air': 'air'}, **options}
        return UnlabelledDataset(
            data_root=str(world.folder), manifest=str(path), pipeline=ANY, **options
        )

    message = (
        r'large\.png: the window x=190 y=0 32x32 px is not inside the image of '
        r'200x150 px'
    )
    with pytest.raises(ImageError, match=message):
        dataset({'x': 190})[0]
    tiff = {'path': 'tiles.tif', 'collection': 'space', 'y': 89}
    roots = {'space': str(world.folder / 'space')}
    with pytest.raises(ImageError, match=r'tiles\.tif: the window x=0 y=89 32x32 px'):
        dataset(tiff, roots=roots)[0]
    with pytest.raises(ImageError, match=r'tiles\.tif: the window x=0 y=89 32x32 px'):
        dataset(tiff, roots=roots).get_data_info(0)['img_source'].read_header()
    with pytest.raises(FileNotFoundError, match=r'nowhere/a\.png.*check data_root and'):
        dataset({'path': 'nowhere/a.png'})
    with pytest.raises(ValueError, match="collection 'air', roots has \\['space'\\]"):
        dataset({}, roots=roots)
    with pytest.raises(ValueError, match="no row has the decision 'selected' among 1"):
        dataset({'decision': 'unselected'})
    with pytest.raises(ValueError, match="small='no', allowed are"):
        dataset({}, small='no')
    with pytest.raises(FileNotFoundError, match='the manifest does not exist'):
        UnlabelledDataset(manifest=str(tmp_path / 'none.parquet'))
    grey = {'path': 'exact_grey.png', 'collection': 'space', 'y': 0, 'x': 0}
    strict = dataset(grey, roots=roots)
    with pytest.raises(ImageError, match=r'exact_grey\.png: PNG with one channel'):
        strict.get_data_info(0)['img_source'].read_image()


def test_pixels_of_the_world_are_those_of_the_manifest(world) -> None:
    """What the other tests compare with is itself right."""
    for row in world.rows:
        if row['crop_id'] in world.pixels:
            pixels = world.pixels[row['crop_id']]
            digest = hashlib.blake2b(pixels, digest_size=16).digest()
            assert row['pixel_hash'] == digest
