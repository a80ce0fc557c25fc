"""OpenEarthMap: the owners' folders and lists, the release's lists, what is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from s5_mm.datasets import OpenEarthMapDataset, SegDataset
from s5_mm.datasets.verification import verify_dataset
from s5_mm.io.images.header import ImageError
from s5_mm.registry import DATASETS

from .files import LABELLED, picture

rasterio = pytest.importorskip('rasterio')
REGIONS = {'aachen': 3, 'al_qurnah': 2, 'santiago_12': 1}
XBD = {'joplin-tornado': 2, 'moore': 1}
CRS = rasterio.crs.CRS.from_epsg(32632)


def labels(seed: int, height: int, width: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 9, (height, width), np.uint8)


def write_tiff(path: Path, bands: np.ndarray) -> None:
    """Write a GeoTIFF of 0.3 m a pixel in UTM: uint8 (bands, H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    profile = dict(driver='GTiff', dtype='uint8', crs=CRS, count=count)
    profile.update(height=height, width=width)
    profile.update(transform=rasterio.Affine(0.3, 0, 3e5, 0, -0.3, 5.6e6))
    with rasterio.open(path, 'w', **profile) as file:
        file.write(bands)


def tree(root: Path) -> Path:
    """The archive without xBD: its regions, and the lists of both kinds."""
    full = []
    for region, count in REGIONS.items():
        for n in range(1, count + 1):
            size = (32, 40) if n == 1 else (32, 32)
            image = picture(n, *size).transpose(2, 0, 1)
            write_tiff(root / region / 'images' / f'{region}_{n}.tif', image)
            label = labels(n, *size)[None]
            write_tiff(root / region / 'labels' / f'{region}_{n}.tif', label)
            full.append(f'{region}_{n}.tif')
    (root / 'train_wo_xBD.txt').write_text('\n'.join(full))  # no newline at the end
    full += [f'{region}_{n}.tif' for region, k in XBD.items() for n in range(k)]
    (root / 'train.txt').write_text('\n'.join(full) + '\n')
    return root


def build(root: Path, **kwargs: object) -> OpenEarthMapDataset:
    cfg = {'type': 's5_mm.OpenEarthMapDataset', 'data_root': str(root)}
    return DATASETS.build({**cfg, **kwargs})


def test_the_owners_layout(tmp_path: Path) -> None:
    dataset = build(tree(tmp_path), pipeline=LABELLED)
    assert isinstance(dataset, SegDataset)
    assert len(dataset) == 6
    info = dataset.get_data_info(3)
    assert info['img_path'] == str(tmp_path / 'al_qurnah/images/al_qurnah_1.tif')
    assert info['seg_map_path'] == str(tmp_path / 'al_qurnah/labels/al_qurnah_1.tif')
    last = dataset.get_data_info(5)['img_path']
    assert last == str(tmp_path / 'santiago_12/images/santiago_12_1.tif')
    verify_dataset(dataset, 'full')
    assert dataset[0]['inputs'].shape == (3, 24, 24)


def test_classes(tmp_path: Path) -> None:
    meta = build(tree(tmp_path)).metainfo
    assert len(meta['classes']) == len(meta['palette']) == 9
    assert len(set(meta['classes'])) == len(set(map(tuple, meta['palette']))) == 9
    assert (meta['classes'][0], meta['classes'][8]) == ('other', 'building')
    assert all(re.fullmatch('[a-z_]+', name) for name in meta['classes'])
    assert meta['palette'][8] == [222, 31, 7]
    pixels = LABELLED[:2]
    sample = build(tmp_path, pipeline=pixels)[0]
    np.testing.assert_array_equal(sample['gt_seg_map'], labels(1, 32, 40))  # 0 stays
    only = build(tmp_path, pipeline=pixels, metainfo={'classes': ('road', 'building')})
    wanted = np.full((32, 40), 255, np.uint8)
    wanted[labels(1, 32, 40) == 4], wanted[labels(1, 32, 40) == 8] = 0, 1
    np.testing.assert_array_equal(only[0]['gt_seg_map'], wanted)
    assert only.metainfo['palette'] == [[255, 255, 255], [222, 31, 7]]


def test_the_lists_of_the_release(tmp_path: Path) -> None:
    tree(tmp_path / 'openearthmap')
    folder = 'openearthmap/aachen'
    line = f'{folder}/images/aachen_{{0}}.tif {folder}/labels/aachen_{{0}}.tif'
    text = '\n'.join(line.format(n) for n in (2, 1))
    (tmp_path / 'labeled.txt').write_text(text)
    dataset = build(tmp_path, ann_file='labeled.txt')
    owners = build(tmp_path / 'openearthmap')
    for mine, theirs in ((0, 1), (1, 0)):
        for key in ('img_path', 'seg_map_path'):
            assert dataset.get_data_info(mine)[key] == owners.get_data_info(theirs)[key]


def test_regions_elsewhere(tmp_path: Path) -> None:
    root = tree(tmp_path / 'archive')
    shutil.copy(root / 'train_wo_xBD.txt', tmp_path / 'mine.txt')
    prefix = dict(img_path='archive', seg_map_path='archive')
    dataset = build(tmp_path, ann_file='mine.txt', data_prefix=prefix)
    assert dataset.get_data_info(0) == {
        **build(root).get_data_info(0),
        'sample_idx': 0,
    }


def test_a_test_split_without_labels(tmp_path: Path) -> None:
    root = tree(tmp_path)
    shutil.rmtree(root / 'aachen' / 'labels')
    (root / 'test_wo_xBD.txt').write_text('aachen_1.tif\n')
    (root / 'two.txt').write_text('aachen/images/aachen_2.tif x/labels/aachen_2.tif\n')
    prefix = dict(img_path='', seg_map_path=None)
    for name in ('test_wo_xBD.txt', 'two.txt'):
        dataset = build(root, ann_file=name, data_prefix=prefix, pipeline=LABELLED[:1])
        assert 'seg_map_path' not in dataset[0]
        assert dataset[0]['img'].shape[2] == 3
    message = r'no file for 1 mask\(s\) of the list: .*labels/aachen_1\.tif; all files'
    with pytest.raises(FileNotFoundError, match=message):
        build(root, ann_file='test_wo_xBD.txt')


def test_xbd_regions_that_are_not_there(tmp_path: Path) -> None:
    root = tree(tmp_path)
    message = (
        r'train\.txt: no file for 3 image\(s\) of the list: .*joplin-tornado_0\.tif.*; '
        r'no file of the 2 region\(s\) joplin-tornado, moore is there: the archive '
        r"without xBD has none of them, use ann_file='train_wo_xBD\.txt' with it$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        build(root, ann_file='train.txt')
    # The archive has their labels.
    for region in XBD:
        label = labels(0, 32, 32)[None]
        write_tiff(root / region / 'labels' / f'{region}_0.tif', label)
        (root / region / 'images').mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        build(root, ann_file='train.txt')


def test_files_that_were_lost(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / 'aachen' / 'images' / 'aachen_2.tif').unlink()
    message = r'no file for 1 image\(s\) of the list: .*aachen_2\.tif$'
    with pytest.raises(FileNotFoundError, match=message):
        build(root)
    # Lost files beside absent regions: the other list would not be enough.
    message = r'for 4 image\(s\) of the list: .*aachen_2\.tif.*moore_0\.tif$'
    with pytest.raises(FileNotFoundError, match=message):
        build(root, ann_file='train.txt')
    shutil.rmtree(root / 'aachen')
    message = (
        r'for 3 image\(s\) of the list: .*; no file of the 1 region\(s\) aachen is '
    )
    with pytest.raises(FileNotFoundError, match=message + 'there$'):
        build(root)
    message = r'all files of the list are missing, is data_root=.*nowhere\?$'
    (tmp_path / 'nowhere').mkdir()
    shutil.copy(root / 'train_wo_xBD.txt', tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match=message):
        build(tmp_path / 'nowhere')
    root = tree(tmp_path / 'again')
    (root / 'al_qurnah' / 'labels' / 'al_qurnah_1.tif').unlink()
    message = r'no file for 1 mask\(s\) of the list: .*labels/al_qurnah_1\.tif$'
    with pytest.raises(FileNotFoundError, match=message):
        build(root)


@pytest.mark.parametrize(
    'line',
    ['aachen_1', 'aachen.tif', '_1.tif', 'aachen/images/aachen_1.tif', 'a_1.tif b c'],
)
def test_malformed_lists(line: str, tmp_path: Path) -> None:
    (tree(tmp_path) / 'list.txt').write_text(f'aachen_1.tif\n{line}\n')
    message = rf"list\.txt: line '{re.escape(line)}', expected <region>_<n>\.tif"
    with pytest.raises(ValueError, match=message):
        build(tmp_path, ann_file='list.txt')


def test_missing_lists(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'train_wo_xBD\.txt: the list file'):
        build(tmp_path)
    with pytest.raises(ValueError, match='ann_file is empty, expected a list such as'):
        build(tmp_path, ann_file='')


def test_values_outside_of_the_classes(tmp_path: Path) -> None:
    root = tree(tmp_path)
    label = np.full((1, 32, 40), 9, np.uint8)
    write_tiff(root / 'aachen' / 'labels' / 'aachen_1.tif', label)
    with pytest.raises(ImageError, match=r'aachen_1\.tif: mask value\(s\) 9 .*0\.\.8'):
        build(root, pipeline=LABELLED)[0]
