"""Oriented boxes in VOC's XML: reading, lists and every message."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mmrotate', reason='mmrotate is not installed')

from mmrotate.datasets import DIORDataset  # noqa: E402

from s5_mm.datasets.oriented import VocXmlDataset, read_voc_xml  # noqa: E402
from s5_mm.registry import DATASETS  # noqa: E402

from .oriented_files import CLASSES, TILTED, UPRIGHT, put, voc_tree, xml  # noqa: E402

GOOD = xml((UPRIGHT, 'SHIP', 0), (TILTED, 'helipad', 1))
LISTS = {'train': ['00002', '00001'], 'val': ['00003']}


def build(cfg: dict, **kwargs: object) -> VocXmlDataset:
    return DATASETS.build({**cfg, **kwargs})


def names(dataset: VocXmlDataset) -> list[str]:
    return [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]


def tree(root: Path, lists: dict | None = None, *more: str) -> dict:
    stems = ('00001', '00002', '00003', *more)
    return voc_tree(root, dict.fromkeys(stems, GOOD), lists or LISTS)


# -- the reader -----------------------------------------------------------------------
def test_reader(tmp_path: Path) -> None:
    found, size = read_voc_xml(put(tmp_path / 'a.xml', GOOD), CLASSES)
    assert found.corners.tolist() == [list(UPRIGHT), list(TILTED)]
    assert found.labels.tolist() == [0, 2]
    assert found.difficulty.tolist() == [0, 1]
    assert size == (32, 40)
    kinds = [array.dtype for array in found]
    assert kinds == [np.float64, np.int64, np.int64]
    bare = put(tmp_path / 'b.xml', xml(size=None))
    found, size = read_voc_xml(bare, CLASSES)
    assert (found.corners.shape, size) == ((0, 8), None)


def without(tag: str) -> str:
    """A file whose last box lacks a tag."""
    head, _, tail = GOOD.rpartition(f'<{tag}>')
    return head + tail[tail.index(f'</{tag}>') + len(tag) + 3 :]


LAST = 'object 2 .helipad.'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (GOOD[:-4], 'malformed XML .unclosed token|malformed XML'),
        ('', 'malformed XML .no element found'),
        (without('name'), 'object 2: there is no <name>, found difficult, robndbox'),
        (without('robndbox'), f'{LAST}: there is no <robndbox>, found name, difficult'),
        (
            without('y_right_top'),
            f'{LAST}, robndbox: there is no <y_right_top>, found x_left_top, y_left',
        ),
        (
            GOOD.replace('<x_left_top>10<', '<x_left_top><'),
            f'{LAST}, robndbox: there is an empty <x_left_top>',
        ),
        (
            GOOD.replace('<x_left_top>10<', '<x_left_top>ten<'),
            f"{LAST}: 'ten' is no coordinate, expected a finite number",
        ),
        (
            GOOD.replace('<x_left_top>10<', '<x_left_top>NaN<'),
            f"{LAST}: 'NaN' is no coordinate",
        ),
        (
            GOOD.replace('helipad', 'helipod'),
            "object 2: unknown class 'helipod'; did you mean 'Helipad'.; allowed are t",
        ),
        (
            GOOD.replace('<difficult>1', '<difficult>maybe'),
            f"{LAST}: <difficult> is 'maybe', expected a whole number of at least 0",
        ),
        (
            GOOD.replace('<width>40', '<width>0'),
            "size: <width> is '0', expected a whole number of at least 1",
        ),
        (
            GOOD.replace('<height>32</height>', ''),
            'size: there is no <height>, found w',
        ),
        (
            xml(((1, 1, 5, 5, 9, 9, 3, 3), 'ship', 0)),
            'object 1 .ship.: the box 1 1 5 5 9 9 3 3 has no area, expected four',
        ),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = put(tmp_path / '00007.xml', content)
    with pytest.raises(ValueError, match=rf'00007\.xml: .*({message})'):
        read_voc_xml(path, CLASSES)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16'])
@pytest.mark.parametrize(
    'declared',
    [
        '<!DOCTYPE annotation>',
        '<!DOCTYPE annotation [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE annotation SYSTEM "http://127.0.0.1/x.dtd">',
    ],
)
def test_declarations_are_refused(tmp_path: Path, declared: str, encoding: str) -> None:
    body = GOOD.replace('SHIP', '&b;' if '"&a;' in declared else '&a;')
    path = tmp_path / 'bomb.xml'
    path.write_text(
        f'<?xml version="1.0" encoding="{encoding}"?>{declared}{body}', encoding
    )
    with pytest.raises(
        ValueError, match=r"bomb\.xml: it declares the document type 'annotation', exp"
    ):
        read_voc_xml(str(path), CLASSES)


# -- the data set ---------------------------------------------------------------------
def test_same_as_the_host(tmp_path: Path) -> None:
    cfg = tree(tmp_path)
    ours = build(cfg, ann_file='ImageSets/train.txt')
    kwargs = {key: value for key, value in cfg.items() if key != 'type'}
    kwargs['metainfo'] = {'classes': [name.lower() for name in CLASSES]}
    host = DIORDataset(**{**kwargs, 'ann_file': 'ImageSets/train.txt'})
    assert len(ours) == len(host) == 2
    for index in range(2):
        found, wanted = ours.get_data_info(index), host.get_data_info(index)
        for key in ('img_path', 'img_id', 'height', 'width', 'sample_idx'):
            assert found[key] == wanted[key]
        for mine, other in zip(found['instances'], wanted['instances'], strict=True):
            assert mine['bbox'] == other['bbox'].tolist()
            assert mine['bbox_label'] == other['bbox_label']
            assert mine['ignore_flag'] == other['ignore_flag'] == 0


def test_lists_are_put_together(tmp_path: Path) -> None:
    cfg = tree(tmp_path, None, '00004')
    assert names(build(cfg)) == ['00002', '00001', '00003']
    assert names(build(cfg, ann_file='')) == ['00001', '00002', '00003', '00004']
    whole = str(tmp_path / 'ImageSets' / 'val.txt')
    assert names(build(cfg, data_root='', **absolute(cfg, whole))) == ['00003']
    assert build(cfg).metainfo['classes'] == CLASSES


def absolute(cfg: dict, ann_file: str) -> dict:
    root = cfg['data_root']
    return {
        'ann_file': ann_file,
        'ann_subdir': os.path.join(root, cfg['ann_subdir']),
        'data_prefix': {'img_path': os.path.join(root, 'JPEGImages')},
    }


def test_sizes_come_from_the_image_without_the_tag(tmp_path: Path) -> None:
    stems = {'00001': xml((UPRIGHT, 'ship', 0), size=None)}
    dataset = build(voc_tree(tmp_path, stems, {'all': list(stems)}))
    info = dataset.get_data_info(0)
    assert (info['height'], info['width']) == (32, 40)


def test_rules_apply(tmp_path: Path) -> None:
    outside = (50, 1, 60, 1, 60, 9, 50, 9)
    stems = {
        '00001': xml((UPRIGHT, 'ship', 1), (outside, 'ship', 0)),
        '00002': xml((outside, 'ship', 0)),
    }
    cfg = voc_tree(tmp_path, stems, {'all': list(stems)})
    with pytest.raises(ValueError, match=r'00001\.xml: object 2 of 2: .*of 40x32 px'):
        build(cfg)
    dataset = build(cfg, outside='drop', filter_cfg={'filter_empty_gt': True})
    assert names(dataset) == ['00001']
    dataset = build(cfg, outside='drop', test_mode=True, diff_thr=0)
    found = [dataset.get_data_info(i)['instances'] for i in range(2)]
    assert [[item['ignore_flag'] for item in items] for items in found] == [[1], []]


def test_missing_files(tmp_path: Path) -> None:
    cfg = tree(tmp_path)
    os.remove(tmp_path / 'Annotations' / 'obb' / '00001.xml')
    with pytest.raises(
        FileNotFoundError,
        match=r'obb: no \*\.xml for 1 image.*00001\.jpg; missing_ann=',
    ):
        build(cfg)
    dataset = build(cfg, missing_ann='empty')
    counts = [len(dataset.get_data_info(i)['instances']) for i in range(3)]
    assert counts == [2, 0, 2]
    dataset = build(cfg, ann_subdir=None, test_mode=True)
    assert [dataset.get_data_info(i)['instances'] for i in range(3)] == [[], [], []]
    os.remove(tmp_path / 'JPEGImages' / '00003.jpg')
    with pytest.raises(
        FileNotFoundError, match=r'ImageSets/val\.txt: there is no image .*/00003 with'
    ):
        build(cfg)
    with pytest.raises(FileNotFoundError, match=r'none\.txt: the list file does not'):
        build(cfg, ann_file='ImageSets/none.txt')


def test_images_listed_twice(tmp_path: Path) -> None:
    cfg = tree(tmp_path, {'train': ['00001'], 'trainval': ['00002', '00001']})
    with pytest.raises(
        ValueError,
        match=r"trainval\.txt: '00001' is listed twice, first in .*train\.txt",
    ):
        build(cfg)
