"""The converters on real crops, put into archives as their owners have them.

Set S5_MM_DATA to the folder with ``loveda_sample/``, ``potsdam_sample/`` and
``vaihingen_sample/`` in mmseg's layout, ``dota8/`` and ``geotiff/cogeo.tif``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rasterio', reason="rasterio comes with pip install 's5_mm[geo]'")

from s5_mm.io.images.read import read_image, read_mask  # noqa: E402

from .archives import convert, encode, pack  # noqa: E402
from .test_scenes import COLOURS, dataset  # noqa: E402

ARGS = ('--jobs', 1, '--counts', 'none')
FOLDER = os.environ.get('S5_MM_DATA', '')
pytestmark = pytest.mark.skipif(
    not os.path.isdir(FOLDER), reason='S5_MM_DATA names no folder of real imagery'
)


def pairs(name: str) -> list[tuple[Path, Path]]:
    """Images and masks of a sample; skips the test where they are missing."""
    root = Path(FOLDER) / name
    images = sorted(root.glob('img_dir/**/*.*'))
    masks = sorted(root.glob('ann_dir/**/*.*'))
    if not images or len(images) != len(masks):
        pytest.skip(f'{root}: no images with masks')
    return list(zip(images, masks, strict=True))


def test_loveda(tmp_path: Path) -> None:
    members = {}
    for number, (image, mask) in enumerate(pairs('loveda_sample')):
        members[f'Train/Rural/images_png/{number}.png'] = image.read_bytes()
        members[f'Train/Rural/masks_png/{number}.png'] = mask.read_bytes()
    pack(tmp_path / 'src/Train.zip', members)
    assert convert('loveda', tmp_path / 'src', tmp_path / 'dst', *ARGS) == 0
    made = dataset('loveda', 'train', tmp_path / 'dst')
    assert len(made) == len(pairs('loveda_sample'))
    for index, (image, mask) in enumerate(pairs('loveda_sample')):
        sample = made[index]
        np.testing.assert_array_equal(sample['img'], read_image(str(image)))
        labels = (read_mask(str(mask)).astype(int) - 1) % 256
        np.testing.assert_array_equal(sample['gt_seg_map'], labels)


@pytest.mark.parametrize('name', ['potsdam', 'vaihingen'])
def test_isprs(name: str, tmp_path: Path) -> None:
    image, mask = pairs(f'{name}_sample')[0]
    stored = read_mask(str(mask))
    tif = encode(read_image(str(image)), 'TIFF')
    colours = encode(COLOURS[stored], 'TIFF')
    if name == 'potsdam':
        members = {'2_Ortho_RGB/top_potsdam_2_10_RGB.tif': tif}
        members['top_potsdam_2_10_label_noBoundary.tif'] = colours
    else:
        members = {'top/top_mosaic_09cm_area2.tif': tif}
        members['top_mosaic_09cm_area2_noBoundary.tif'] = colours
    pack(tmp_path / 'src/a.zip', members)
    assert convert(name, tmp_path / 'src', tmp_path / 'dst', *ARGS) == 0
    split = 'train' if name == 'potsdam' else 'val'
    (path,) = (tmp_path / 'dst/ann_dir' / split).iterdir()
    # What mmseg stores.
    np.testing.assert_array_equal(read_mask(str(path)), stored)
    sample = dataset(name, split, tmp_path / 'dst')[0]
    np.testing.assert_array_equal(sample['img'], read_image(str(image)))


def test_dota(tmp_path: Path) -> None:
    pytest.importorskip('shapely', reason="shapely comes with 's5_mm[det]'")
    names = sorted((Path(FOLDER) / 'dota8/val/images').glob('*.jpg'))
    if not names:
        pytest.skip(f'{FOLDER}/dota8: no images')
    images, labels = {}, {}
    for path in names:
        scene = path.stem.partition('__')[0]
        images[f'images/{scene}.jpg'] = path.read_bytes()
        text = path.parents[1] / 'annfiles' / f'{path.stem}.txt'
        labels[f'{scene}.txt'] = text.read_text()
    pack(tmp_path / 'src/val/images/part1.zip', images)
    pack(tmp_path / 'src/val/labelTxt-v2.0/DOTA-v2.0_val.zip', labels)
    assert convert('dotav2', tmp_path / 'src', tmp_path / 'dst', *ARGS) == 0
    for path in names:
        scene = path.stem.partition('__')[0]
        stem = f'{scene}__1024__0___0'
        patch = read_image(str(tmp_path / f'dst/val/images/{stem}.png'))
        np.testing.assert_array_equal(patch, read_image(str(path)))
        text = (tmp_path / f'dst/val/annfiles/{stem}.txt').read_text()
        assert len(text.splitlines()) == len(labels[f'{scene}.txt'].splitlines())


def test_star(tmp_path: Path) -> None:
    path = Path(FOLDER) / 'geotiff/cogeo.tif'
    if not path.exists():
        pytest.skip(f'{path}: there is no such file')
    pack(tmp_path / 'src/train/img.zip', {'0001.tif': path.read_bytes()})
    assert convert('star', tmp_path / 'src', tmp_path / 'dst', *ARGS) == 0
    whole = read_image(str(path))
    names = (tmp_path / 'dst/images.txt').read_text().split()
    assert len(names) == 4
    for name in names:
        x, y = map(int, Path(name).stem.split('_')[1:])
        tile = read_image(str(tmp_path / 'dst' / name))
        np.testing.assert_array_equal(tile, whole[y : y + 512, x : x + 512])
