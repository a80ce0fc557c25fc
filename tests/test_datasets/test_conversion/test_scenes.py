"""Potsdam and Vaihingen: scenes with masks in colours, cut into tiles."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

pytest.importorskip('rasterio', reason="rasterio comes with pip install 's5_mm[geo]'")

from s5_mm.datasets.conversion import tile_windows  # noqa: E402
from s5_mm.registry import DATASETS  # noqa: E402

from .archives import (  # noqa: E402
    TOOLS,
    convert,
    counts,
    encode,
    ids,
    pack,
    picture,
    tree,
)

COLOURS = np.array(
    [
        [0, 0, 0],
        [255, 255, 255],
        [0, 0, 255],
        [0, 255, 255],
        [0, 255, 0],
        [255, 255, 0],
        [255, 0, 0],
    ],
    np.uint8,
)
# Width and height of the areas.
AREAS = {
    'train': '1919x2569 2006x3007 1887x2557 1887x2557 1893x2566 2818x2558 1919x2565 '
    '2336x1281 1903x2546 1903x2546 2995x1783 1917x2567 1934x2563 1980x2555 1388x2555 '
    '1996x1995',
    'val': '2428x2767 1887x2557 1887x2557 1887x2557 1887x2557 1922x2575 1919x2565 '
    '1919x2565 1866x2315 1903x2546 1903x2546 1917x3313 1917x2563 1980x2555 1581x2555 '
    '2805x1884 3816x2550',
}


def windows(width: int, height: int, stride: int, repeats: bool) -> list:
    """Windows of 512 px, worked out a window at a time."""
    found = []
    for axis in (height, width):
        starts, start = [], 0
        while start < axis if repeats else (start == 0 or start + 512 - stride < axis):
            starts.append(max(min(start, axis - 512), 0))
            start += stride
        found.append(starts)
    return [(x, y) for y in found[0] for x in found[1]]


def potsdam(folder: Path, sizes: dict[str, tuple[int, int]], seed: int = 0) -> Path:
    tif = {'kind': 'TIFF', 'compression': 'tiff_lzw'}
    images, masks, full = {}, {}, {}
    for number, (scene, (width, height)) in enumerate(sizes.items(), seed):
        name = f'top_potsdam_{scene}'
        image, mask = picture(number, width, height), ids(number, 7, width, height)
        images[f'2_Ortho_RGB/{name}_RGB.tif'] = encode(image, **tif)
        images[f'2_Ortho_RGB/{name}_RGB.tfw'] = b'0.05'
        colours = COLOURS[mask]
        masks[f'{name}_label_noBoundary.tif'] = encode(colours, **tif)
        full[f'{name}_label.tif'] = encode(COLOURS[np.maximum(mask, 1)], **tif)
    pack(folder / '2_Ortho_RGB.zip', images)
    pack(folder / '5_Labels_all_noBoundary.zip', masks)
    pack(folder / '5_Labels_all.zip', full)
    return folder


def dataset(name: str, split: str, dst: Path):
    folder = TOOLS.parents[1] / 'configs/_base_/datasets'
    config = Config.fromfile(str(folder / f'{name}.py'))
    pipeline = [{'type': 's5_mm.LoadImage'}, {'type': 's5_mm.LoadMask'}]
    return DATASETS.build(
        {**config[name][split].to_dict(), 'data_root': str(dst), 'pipeline': pipeline}
    )


def test_windows_give_the_known_numbers() -> None:
    assert 24 * len(tile_windows(6000, 6000, 512, 256)) == 12_696
    assert 14 * len(tile_windows(6000, 6000, 512, 512)) == 2_016
    totals = {}
    for split, sizes in AREAS.items():
        stride = 256 if split == 'train' else 512
        totals[split] = totals[f'{split} once'] = 0
        for size in sizes.split():
            width, height = map(int, size.split('x'))
            made = tile_windows(width, height, 512, stride, 'repeated')
            assert made == windows(width, height, stride, True)
            assert len(made) == ceil(width / stride) * ceil(height / stride)
            once = tile_windows(width, height, 512, stride)
            assert set(once) == set(made)
            totals[split] += len(made)
            totals[f'{split} once'] += len(once)
    assert totals == {
        'train': 1324,
        'train once': 1046,
        'val': 398,
        'val once': 398,
    }


def test_potsdam_read_by_the_config(tmp_path: Path) -> None:
    src = potsdam(tmp_path / 'src', {'2_10': (800, 700), '2_13': (512, 600)})
    known = counts(
        tmp_path / 'known.json', 'potsdam', train=(6, (512, 512)), val=(2, (512, 512))
    )
    dst = tmp_path / 'dst'
    # 36 scenes are not there.
    assert convert('potsdam', src, dst, '--jobs', 1, '--counts', known) == 1
    assert convert('potsdam', '--verify', dst, '--counts', 'none', '--jobs', 1) == 1
    for split, seed, stride, size in (
        ('train', 0, 256, (800, 700)),
        ('val', 1, 512, (512, 600)),
    ):
        made = dataset('potsdam', split, dst)
        assert len(made) == (6 if split == 'train' else 2)
        image, mask = picture(seed, *size), ids(seed, 7, *size)
        # Boundaries and clutter are ignored, class k is stored as k + 1.
        labels = np.where((mask == 0) | (mask == 6), 255, mask.astype(int) - 1)
        places = {}
        for index in range(len(made)):
            sample = made[index]
            name = Path(sample['img_path']).stem.split('_')
            x, y = int(name[-2]), int(name[-1])
            places[int(name[-3])] = (x, y)
            square = np.s_[y : y + 512, x : x + 512]
            np.testing.assert_array_equal(sample['img'], image[square])
            np.testing.assert_array_equal(sample['gt_seg_map'], labels[square])
        wanted = windows(*size, stride, False)
        assert [places[number] for number in range(len(places))] == wanted


def test_a_part_and_full_labels(tmp_path: Path, capsys) -> None:
    src = potsdam(tmp_path / 'src', {'2_10': (520, 512)})
    args = ('--jobs', 1, '--counts', 'none', '--labels', 'full')
    assert convert('potsdam', src, tmp_path / 'dst', *args) == 0
    made = dataset('potsdam', 'train', tmp_path / 'dst')
    labels = np.maximum(ids(0, 7, 520, 512), 1).astype(int) - 1
    found = made[0]['gt_seg_map']
    np.testing.assert_array_equal(found, np.where(labels == 5, 255, labels)[:, :512])
    capsys.readouterr()
    assert convert('potsdam', src, tmp_path / 'dst', *args[:4]) == 2
    assert "labels was 'full', now it is 'eroded'" in capsys.readouterr().err


def test_one_or_two_processes(tmp_path: Path) -> None:
    src = potsdam(tmp_path / 'src', {'2_10': (600, 512), '3_13': (512, 512)})
    made = []
    for jobs in (1, 2):
        dst = tmp_path / f'dst{jobs}'
        assert convert('potsdam', src, dst, '--jobs', jobs, '--counts', 'none') == 0
        made.append(tree(dst))
    assert made[0] == made[1]
    assert len(made[0]) == 2 * 2 + 2 + 2


def test_unknown_colour(tmp_path: Path, capsys) -> None:
    """One whose weighted sum is that of a class: mmseg would take it for one."""
    src = potsdam(tmp_path / 'src', {'2_10': (512, 512)})
    colours = COLOURS[ids(0, 7, 512, 512)]
    # 2 b + 3 g + 4 r is that of yellow.
    colours[:2, :3] = (252, 255, 6)
    data = encode(colours, 'TIFF')
    name = 'top_potsdam_2_10_label_noBoundary.tif'
    pack(src / '5_Labels_all_noBoundary.zip', {name: data})
    args = ('--jobs', 1, '--counts', 'none')
    assert convert('potsdam', src, tmp_path / 'dst', *args) == 1
    out = capsys.readouterr().out
    assert f'5_Labels_all_noBoundary.zip/{name}: colour(s) (252, 255, 6) 6 px;' in out
    assert 'allowed are (0, 0, 0), (255, 255, 255)' in out
    args = (*args, '--unknown-colours', 'zero')
    assert convert('potsdam', src, tmp_path / 'zero', *args) == 0
    found = dataset('potsdam', 'train', tmp_path / 'zero')[0]['gt_seg_map']
    assert (found[:2, :3] == 255).all()


def test_mask_of_another_size_and_damage(tmp_path: Path, capsys) -> None:
    src = potsdam(tmp_path / 'src', {'2_10': (512, 512), '2_11': (512, 512)})
    tif = encode(COLOURS[ids(0, 7, 500, 512)], 'TIFF')
    good = encode(COLOURS[ids(1, 7, 512, 512)], 'TIFF')
    names = [f'top_potsdam_2_{n}_label_noBoundary.tif' for n in (10, 11)]
    pack(src / '5_Labels_all_noBoundary.zip', {names[0]: tif, names[1]: good[:9000]})
    part = ('--jobs', 1, '--counts', 'none')
    pack(src / 'more.zip', {'top_potsdam_2_12_RGB.tif': encode(picture(9), 'TIFF')})
    assert convert('potsdam', src, tmp_path / 'dst', '--dry-run', *part) == 1
    out = capsys.readouterr().out
    assert 'BAD eroded labels: 1 of 3 are not in the source: 2_12\n' in out
    (src / 'more.zip').unlink()
    assert convert('potsdam', src, tmp_path / 'dst', '--jobs', 1) == 1
    out = capsys.readouterr().out
    assert f'{names[0]}: 500x512 px, expected 512x512 as its image' in out
    assert f'5_Labels_all_noBoundary.zip/{names[1]}: ' in out
    assert 'images: 36 of 38 are not in the source: 2_12, 3_10' in out


def test_vaihingen(tmp_path: Path, capsys) -> None:
    """Images and full labels have the same names; the folder tells them apart."""
    src, mask = tmp_path / 'src', ids(3, 7, 700, 600)
    base = 'ISPRS_semantic_labeling_Vaihingen'
    image = picture(3, 700, 600)
    pack(
        src / f'{base}.zip',
        {
            'top/top_mosaic_09cm_area1.tif': encode(image, 'TIFF'),
            'gts_for_participants/top_mosaic_09cm_area1.tif': b'no image',
            'dsm/dsm_09cm_matching_area1.tif': b'no image',
        },
    )
    eroded = f'{base}_ground_truth_eroded_COMPLETE.zip'
    data = encode(COLOURS[mask], 'TIFF')
    pack(src / eroded, {'top_mosaic_09cm_area1_noBoundary.tif': data})
    full = encode(COLOURS[np.maximum(mask, 1)], 'TIFF')
    pack(
        src / f'{base}_ground_truth_COMPLETE.zip',
        {'top_mosaic_09cm_area1.tif': full},
    )
    args = ('--jobs', 1, '--counts', 'none')
    assert convert('vaihingen', src, tmp_path / 'dst', *args) == 0
    made = dataset('vaihingen', 'train', tmp_path / 'dst')
    assert len(made) == 9
    labels = np.where((mask == 0) | (mask == 6), 255, mask.astype(int) - 1)
    for index in range(9):
        sample = made[index]
        x, y = map(int, Path(sample['img_path']).stem.split('_')[-2:])
        square = np.s_[y : y + 512, x : x + 512]
        np.testing.assert_array_equal(sample['img'], image[square])
        np.testing.assert_array_equal(sample['gt_seg_map'], labels[square])
    once = (*args[:2], '--no-repeats', '--labels', 'full', '--counts')
    known = counts(tmp_path / 'k.json', 'vaihingen, no repeats', train=(4,), val=(0,))
    assert convert('vaihingen', src, tmp_path / 'once', *once, known) == 1
    assert len(dataset('vaihingen', 'train', tmp_path / 'once')) == 4
    out = capsys.readouterr().out
    assert 'BAD val: 0 images, expected 0; img_dir/val has no files' in out
    assert 'BAD train' not in out
