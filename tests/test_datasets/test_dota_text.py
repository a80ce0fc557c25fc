"""Oriented boxes in DOTA's text format: reading, policies and every message."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mmrotate', reason='mmrotate is not installed')

from mmrotate.datasets import DOTADataset  # noqa: E402

from s5_mm.datasets.oriented import DotaTextDataset, read_dota_text  # noqa: E402
from s5_mm.datasets.oriented.annotations import is_degenerate  # noqa: E402
from s5_mm.datasets.oriented.images import image_shape  # noqa: E402
from s5_mm.datasets.oriented.rules import widen  # noqa: E402
from s5_mm.registry import DATASETS  # noqa: E402
from s5_mm.testing import write_dataset  # noqa: E402

from .files import picture, write  # noqa: E402
from .oriented_files import CLASSES, TILTED, UPRIGHT, dota_tree, put, text  # noqa: E402

DATA = os.environ.get('S5_MM_DATA')
GOOD = text((UPRIGHT, 'ship', 0), (TILTED, 'Helipad', 2))


def build(cfg: dict, **kwargs: object) -> DotaTextDataset:
    return DATASETS.build({**cfg, **kwargs})


def instances(dataset: DotaTextDataset) -> list[list[dict]]:
    return [dataset.get_data_info(i)['instances'] for i in range(len(dataset))]


# -- the reader -----------------------------------------------------------------------
def test_reader(tmp_path: Path) -> None:
    header = 'imagesource:GoogleEarth\ngsd:0.146\n'
    content = '\ufeff' + text(
        (UPRIGHT, 'ship', 1), (TILTED, 'Helipad', None), header=header
    )
    found = read_dota_text(put(tmp_path / 'a.txt', content + '\n\n'), CLASSES)
    assert found.corners.tolist() == [list(UPRIGHT), list(TILTED)]
    assert found.labels.tolist() == [0, 2]
    assert found.difficulty.tolist() == [1, 0]
    kinds = [array.dtype for array in found]
    assert kinds == [np.float64, np.int64, np.int64]


@pytest.mark.parametrize('content', ['', '\n', 'imagesource:None\ngsd:None\n'])
def test_files_without_objects(tmp_path: Path, content: str) -> None:
    found = read_dota_text(put(tmp_path / 'a.txt', content), CLASSES)
    assert found.corners.shape == (0, 8)
    assert found.labels.shape == found.difficulty.shape == (0,)


NUMBERS = ' '.join(map(str, UPRIGHT))


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('1 2 3 4 5 6 7 ship 0', '7 numbers before the class, expected x1 y1 x2 y2 x3'),
        (f'{NUMBERS} 9 ship 0', '9 numbers before the class, expected x1'),
        (NUMBERS, '8 words, expected x1'),
        (f'{NUMBERS} ship 0 0', '11 words, expected x1'),
        ('9 9 4 2 30 ship 0', 'five look like cx cy w h angle .in degrees.: convert'),
        ('9 9 4 2 0.5 ship 0', 'five look like cx cy w h angle .in radians.'),
        ('1 2 3 4 ship', 'four look like an upright box: convert it to corners'),
        (f'1,5 {NUMBERS[2:]} ship 0', "'1,5' is no coordinate, expected a finite num"),
        (f'nan {NUMBERS[2:]} ship 0', "'nan' is no coordinate, expected a finite num"),
        (f'{NUMBERS[:-2]} inf ship 0', "'inf' is no coordinate, expected a finite"),
        (f'{NUMBERS} Ship 0', "unknown class 'Ship'; did you mean 'ship'.; allowed"),
        (f'{NUMBERS} helipod 0', "'helipod'; did you mean 'Helipad'.; allowed are"),
        (
            f'{NUMBERS} zebra 0',
            "unknown class 'zebra'; allowed are the metainfo.*ship, ",
        ),
        (f'{NUMBERS} ship yes', "difficult is 'yes', expected a whole number of at le"),
        (f'{NUMBERS} ship -1', "difficult is '-1', expected a whole number"),
        (
            '1 1 5 5 9 9 3 3 ship 0',
            'the box 1 1 5 5 9 9 3 3 has no area, expected four',
        ),
        ('gsd:0.5', '0 numbers before the class'),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, line: str, message: str) -> None:
    path = put(tmp_path / 'P0001.txt', f'gsd:0.1\n{GOOD}{line}\n')
    with pytest.raises(ValueError, match=rf'P0001\.txt: line 4: .*{message}'):
        read_dota_text(path, CLASSES)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / 'a.txt').write_bytes(b'\xff\xfe\x00\x81')
    with pytest.raises(ValueError, match=r'a\.txt: is no text in UTF-8'):
        read_dota_text(str(tmp_path / 'a.txt'), CLASSES)
    with pytest.raises(FileNotFoundError, match='none.txt'):
        read_dota_text(str(tmp_path / 'none.txt'), CLASSES)


def test_degenerate_boxes_against_ranks() -> None:
    rng = np.random.default_rng(0)
    start, step = rng.uniform(0, 4000, (60, 1, 2)), rng.normal(0, 300, (60, 1, 2))
    lines = start + rng.normal(size=(60, 4, 1)) * step
    boxes = lines + rng.normal(0, 0.2, (60, 4, 2))
    points = np.repeat(start, 4, axis=1)
    corners = np.concatenate([lines, boxes, points])
    centred = corners - corners.mean(1, keepdims=True)
    thin = np.linalg.svd(centred, compute_uv=False)[:, 1] < 1e-3
    assert thin.sum() == 120
    assert is_degenerate(corners.reshape(-1, 8)).tolist() == thin.tolist()


# -- the data set ---------------------------------------------------------------------
def test_same_as_the_host_but_sorted(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / 's', 8, 0, 1, size=96)
    cfg = {
        'data_root': str(root),
        'ann_file': 'annfiles/train',
        'data_prefix': {'img_path': 'img_dir/train'},
    }
    names = {
        line.split()[8]
        for file in (root / 'annfiles' / 'train').iterdir()
        for line in file.read_text().splitlines()
    }
    assert len(names) > 1
    cfg['metainfo'] = {'classes': tuple(sorted(names))}
    ours, host = DotaTextDataset(**cfg), DOTADataset(**cfg)
    assert len(ours) == len(host) == 8
    wanted = {host.get_data_info(i)['img_id']: host.get_data_info(i) for i in range(8)}
    assert sum(map(len, instances(ours))) > 8
    for index, stem in enumerate(sorted(wanted)):
        found = ours.get_data_info(index)
        assert (found.pop('height'), found.pop('width')) == (96, 96)
        assert found['img_id'] == stem
        assert {**found, 'sample_idx': 0} == {**wanted[stem], 'sample_idx': 0}
        assert ours.get_cat_ids(index) == [i['bbox_label'] for i in found['instances']]


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.JPEG', '.bmp', '.tif'])
def test_images_of_any_suffix(tmp_path: Path, suffix: str) -> None:
    dataset = build(dota_tree(tmp_path, {'P2.v': GOOD, 'P10': GOOD}, suffix))
    infos = [dataset.get_data_info(i) for i in range(2)]
    assert [info['img_id'] for info in infos] == ['P10', 'P2.v']
    assert [info['file_name'] for info in infos] == [f'P10{suffix}', f'P2.v{suffix}']
    assert all(os.path.isfile(info['img_path']) for info in infos)
    assert {(info['height'], info['width']) for info in infos} == {(32, 40)}
    assert dataset.metainfo['classes'] == CLASSES


def test_difficult_objects(tmp_path: Path) -> None:
    cfg = dota_tree(tmp_path, {'a': GOOD})
    for threshold, flags in ((100, [0, 0]), (2, [0, 0]), (1, [0, 1]), (0, [0, 1])):
        (found,) = instances(build(cfg, diff_thr=threshold))
        assert [item['ignore_flag'] for item in found] == flags


def test_small_boxes_are_dropped_in_training_alone(tmp_path: Path) -> None:
    # Upright hulls of 1.9 x 6, 2 x 6 and 4 x 4 px; the last box is 0.3 px thin.
    thin = [(4, 4, 5.9, 4, 5.9, 10, 4, 10), (4, 4, 6, 4, 6, 10, 4, 10)]
    slanted = (4, 4, 8, 7.8, 7.8, 8, 4, 4.2)
    boxes = text(*((box, 'ship', 0) for box in (*thin, slanted)))
    cfg = dota_tree(tmp_path, {'a': boxes})
    (found,) = instances(build(cfg, ignore_size=2))
    assert [item['bbox'] for item in found] == [list(thin[1]), list(slanted)]
    assert len(instances(build(cfg, ignore_size=2, test_mode=True))[0]) == 3


def test_short_sides_are_widened(tmp_path: Path) -> None:
    line = (4, 4, 4, 4, 12, 10, 12, 10)  # length 10 along (0.8, 0.6)
    cfg = dota_tree(tmp_path, {'a': text((line, 'ship', 0), (TILTED, 'ship', 0))})
    dataset = build(cfg, min_side=2, degenerate='keep')
    wide, same = (np.array(item['bbox']) for item in instances(dataset)[0])
    assert same.tolist() == list(TILTED)
    along, across = np.array([0.8, 0.6]), np.array([-0.6, 0.8])
    relative = wide.reshape(4, 2) - (8, 7)
    assert np.allclose(np.sort(relative @ along), [-5, -5, 5, 5], atol=1e-4)
    assert np.allclose(np.sort(relative @ across), [-1, -1, 1, 1], atol=1e-4)
    point = np.array([[3.0, 4.0] * 4])
    assert np.ptp(widen(point, 1.0).reshape(4, 2), axis=0).tolist() == [1, 1]


def test_boxes_outside(tmp_path: Path) -> None:
    # The images are 40 x 32 px; the first box only looks in, the last two touch.
    boxes = [
        (-9, -9, 1, -9, 1, 1, -9, 1),
        (41, 2, 44, 2, 44, 5, 41, 5),
        (2, 33, 6, 33, 6, 36, 2, 36),
        (40, 2, 44, 2, 44, 5, 40, 5),
        (2, -3, 6, -3, 6, 0, 2, 0),
    ]
    content = text(*((box, 'ship', 0) for box in boxes))
    cfg = dota_tree(tmp_path, {'a': content, 'b': GOOD})
    with pytest.raises(
        ValueError,
        match=r'a\.txt: object 2 of 5: the box 41 2 44 2 44 5 41 5 is wholly outside '
        r"of its image of 40x32 px; outside may be 'raise', 'drop' or 'keep'",
    ):
        build(cfg)
    assert list(map(len, instances(build(cfg, outside='keep')))) == [5, 2]
    messages: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            's5_mm.datasets.oriented.oriented_dataset.print_log',
            lambda message, **_: messages.append(message),
        )
        found = instances(build(cfg, outside='drop'))
    assert [item['bbox'] for item in found[0]] == [list(boxes[0])]
    assert messages == [
        f'{tmp_path}/images: 2 images; 4 boxes outside of their image left out'
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    line, speck = (2, 2, 9, 9, 9, 9, 2, 2), (2, 2, 3, 2, 3, 3, 2, 3)
    bad = text((line, 'ship', 0), (speck, 'ship', 0))
    cfg = dota_tree(tmp_path, {'a': GOOD + bad, 'b': bad, 'c': ''})
    with pytest.raises(ValueError, match=r'a\.txt: line 3: .*has no area.*degenerate'):
        build(cfg)
    messages: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            's5_mm.datasets.oriented.oriented_dataset.print_log',
            lambda message, **_: messages.append(message),
        )
        rules = {'degenerate': 'drop', 'ignore_size': 2}
        empty = {'filter_cfg': {'filter_empty_gt': True}}
        assert list(map(len, instances(build(cfg, **rules)))) == [2, 0, 0]
        assert len(build(cfg, **rules, **empty)) == 1
        assert len(build(cfg, **rules, **empty, test_mode=True)) == 3
    boxes = '2 boxes without area left out'
    small = '2 boxes below 2 px left out'
    assert messages == [
        f'{tmp_path}/images: 3 images; {boxes}, {small}',
        f'{tmp_path}/images: 1 images; {boxes}, {small}, 2 images without boxes left '
        'out',
        f'{tmp_path}/images: 3 images; {boxes}',
    ]


def test_images_without_annotations(tmp_path: Path) -> None:
    cfg = dota_tree(tmp_path, {'b': GOOD, 'a': GOOD})
    for name in ('a', 'b'):
        os.remove(tmp_path / 'annfiles' / f'{name}.txt')
        if name == 'a':
            with pytest.raises(
                FileNotFoundError,
                match=r'annfiles: no \*\.txt for 1 image\(s\) of .*images: .*a\.png; '
                "missing_ann='empty'",
            ):
                build(cfg)
            found = build(cfg, missing_ann='empty')
            assert list(map(len, instances(found))) == [0, 2]
    dataset = build(cfg, ann_file='', test_mode=True)
    assert [dataset.get_data_info(i)['img_id'] for i in range(2)] == ['a', 'b']
    assert instances(dataset) == [[], []]


def test_annotations_without_their_image(tmp_path: Path) -> None:
    cfg = dota_tree(tmp_path, {'a': GOOD, 'b': GOOD})
    write(tmp_path / 'images' / 'b.jpg', picture())
    with pytest.raises(
        ValueError, match=r'b\.txt: b\.jpg and b\.png of .*images.*narrow img_suffix'
    ):
        build(cfg)
    assert len(build(cfg, img_suffix='.png')) == 2
    os.remove(tmp_path / 'images' / 'a.png')
    for missing in ('raise', 'empty'):
        with pytest.raises(
            FileNotFoundError,
            match=r'a\.txt: there is no image .*images/a with one of the suffixes',
        ):
            build(cfg, img_suffix='.png', missing_ann=missing)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'outside': 'clip'}, "outside='clip', allowed are 'raise', 'drop' and 'keep'"),
        ({'degenerate': 'no'}, "degenerate='no', allowed are 'raise', 'drop' and"),
        (
            {'degenerate': 'keep'},
            "degenerate='keep' with min_side=0, expected a min_si",
        ),
        ({'missing_ann': 'no'}, "missing_ann='no', allowed are 'raise' and 'empty'"),
        ({'ignore_size': -1}, 'ignore_size=-1, expected at least 0'),
        ({'min_side': float('nan')}, 'min_side=nan, expected at least 0'),
        (
            {'metainfo': None},
            "DotaTextDataset of data_root=.*metainfo has no 'classes'",
        ),
        (
            {'filter_cfg': {'min_size': 3}},
            r"\['min_size'\], allowed is 'filter_empty_g",
        ),
        ({'data_prefix': {}}, r'data_prefix=\{\}, expected img_path'),
        ({'ann_file': 'annfiles/a.txt'}, 'is a file, expected the folder of the text'),
    ],
)
def test_arguments_that_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(dota_tree(tmp_path, {'a': GOOD}), **change)


def test_filters_that_leave_nothing(tmp_path: Path) -> None:
    cfg = dota_tree(tmp_path, {'a': '', 'b': ''})
    with pytest.raises(ValueError, match='none of 2 images has a box, but filter_cfg'):
        build(cfg, filter_cfg={'filter_empty_gt': True})
    with pytest.raises(
        FileNotFoundError, match=r'nowhere: expected a folder of images'
    ):
        build(cfg, data_prefix={'img_path': 'nowhere'})
    with pytest.raises(FileNotFoundError, match='nolabels'):
        build(cfg, ann_file='nolabels')


def test_size_of_an_image(tmp_path: Path) -> None:
    for name in ('a.png', 'a.jpg', 'a.bmp', 'a.tif'):
        assert image_shape(write(tmp_path / name, picture())) == (32, 40)
    # A frame header beyond what is read first: EXIF and seven further blocks.
    path = write(tmp_path / 'long.jpg', picture())
    data = Path(path).read_bytes()
    blocks = (b'\xff\xef' + (65000).to_bytes(2, 'big') + b'\0' * 64998) * 7
    Path(path).write_bytes(data[:2] + blocks + data[2:])
    assert Image.open(path).size == (40, 32)
    assert image_shape(path) == (32, 40)
    (tmp_path / 'bad.png').write_bytes((tmp_path / 'a.png').read_bytes()[:20])
    with pytest.raises(ValueError, match=r'bad\.png: truncated PNG: 20 bytes'):
        image_shape(str(tmp_path / 'bad.png'))


# -- real imagery ---------------------------------------------------------------------
@pytest.mark.skipif(
    not DATA, reason='S5_MM_DATA does not name a folder of real imagery'
)
@pytest.mark.parametrize(
    ('split', 'images', 'boxes', 'lines'),
    [('train', 300, 1364, 26), ('val', 80, 466, 14)],
)
def test_real_harbours(split: str, images: int, boxes: int, lines: int) -> None:
    cfg = {
        'data_root': f'{DATA}/hrsc_ships',
        'ann_file': f'annfiles/{split}',
        'data_prefix': {'img_path': f'img_dir/{split}'},
        'metainfo': {'classes': ('ship',)},
    }
    with pytest.raises(ValueError, match=r'\.txt: line \d+: the box .*has no area'):
        DotaTextDataset(**cfg)
    dataset = DotaTextDataset(**cfg, degenerate='drop')
    assert len(dataset) == images
    assert sum(map(len, instances(dataset))) == boxes - lines
    written = Path(f'{DATA}/hrsc_ships/annfiles/{split}').glob('*.txt')
    assert sum(len(file.read_text().splitlines()) for file in written) == boxes
