"""DIOR-R and DOTA-v2.0."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")

from s5_mm.registry import DATASETS  # noqa: E402

from .archives import (  # noqa: E402
    TOOLS,
    convert,
    counts,
    encode,
    pack,
    picture,
    tree,
    unpack,
)

CONFIGS = TOOLS.parents[1] / 'configs/_base_/datasets'
ARGS = ('--jobs', 1, '--counts', 'none')
CORNERS = ('left_top', 'right_top', 'right_bottom', 'left_bottom')


def open_set(name: str, split: str, dst: Path):
    config = Config.fromfile(str(CONFIGS / f'{name}.py'))[name][split].to_dict()
    return DATASETS.build({**config, 'data_root': str(dst), 'pipeline': []})


def xml(label: str, corners: list[float]) -> str:
    pairs = zip(CORNERS, np.reshape(corners, (4, 2)).tolist(), strict=True)
    points = ''.join(
        f'<x_{where}>{x}</x_{where}><y_{where}>{y}</y_{where}>'
        for where, (x, y) in pairs
    )
    return (
        '<annotation><size><width>32</width><height>24</height><depth>3</depth></size>'
        f'<object><name>{label}</name><difficult>0</difficult>'
        f'<robndbox>{points}</robndbox></object></annotation>'
    )


@pytest.fixture
def dior(tmp_path: Path) -> Path:
    src = tmp_path / 'src'
    numbers = {'trainval': ('00001', '00002'), 'test': ('11726',)}
    boxes = {}
    for split, names in numbers.items():
        folder = f'JPEGImages-{split}'
        pack(
            src / f'{folder}.zip',
            {f'{folder}/{n}.jpg': encode(picture(int(n)), 'JPEG') for n in names},
        )
        for name in names:
            text = xml('ship', [2, 3, 12, 3, 12, 9, 2, 9])
            boxes[f'Annotations/Oriented Bounding Boxes/{name}.xml'] = text
            boxes[f'Annotations/Horizontal Bounding Boxes/{name}.xml'] = '<a/>'
    pack(src / 'Annotations.zip', boxes)
    lists = {'train': '00002\n', 'val': '00001\n', 'test': '11726\n'}
    members = {f'Main/{name}.txt': text for name, text in lists.items()}
    pack(src / 'ImageSets.zip', {**members, 'Main/ship_test.txt': '11726 1\n'})
    return src


def test_dior(dior: Path, tmp_path: Path, capsys) -> None:
    known = counts(
        tmp_path / 'k.json', 'diorr', trainval=(2, (32, 24)), test=(1, (32, 24))
    )
    dst = tmp_path / 'dst'
    assert convert('diorr', dior, dst, '--jobs', 1, '--counts', known) == 0
    out = capsys.readouterr().out
    assert f'ship{2:>38} boxes 100.00%' in out
    train = open_set('diorr', 'train', dst)
    names = [Path(train.get_data_info(i)['img_path']).name for i in range(2)]
    assert names == ['00001.jpg', '00002.jpg']
    (box,) = train.get_data_info(0)['instances']
    assert train.metainfo['classes'][box['bbox_label']] == 'ship'
    found = {tuple(point) for point in np.reshape(box['bbox'], (4, 2)).tolist()}
    assert found == {(2, 3), (12, 3), (12, 9), (2, 9)}
    val = open_set('diorr', 'val', dst)
    data = Path(val.get_data_info(0)['img_path']).read_bytes()
    assert data == encode(picture(11726), 'JPEG')
    assert not (dst / 'Annotations/Horizontal Bounding Boxes').exists()
    other = unpack(dior, tmp_path / 'unpacked')
    assert convert('diorr', other, tmp_path / 'two', '--jobs', 2, *ARGS[2:]) == 0
    assert tree(dst) == tree(tmp_path / 'two')


def test_dior_lacks_files(dior: Path, tmp_path: Path, capsys) -> None:
    pack(dior / 'JPEGImages-test.zip', {'readme.txt': ''})
    assert convert('diorr', dior, tmp_path / 'dst', *ARGS, '--dry-run') == 1
    out = capsys.readouterr().out
    assert 'BAD images of test.txt: 1 of 1 are not in the source: 11726' in out
    pack(dior / 'ImageSets.zip', {'Main/train.txt': '../1\n'})
    assert convert('diorr', dior, tmp_path / 'dst') == 2
    error = capsys.readouterr().err
    assert "ImageSets.zip/Main/train.txt: '../1', expected five digits a line" in error


def test_dior_of_another_kind(dior: Path, tmp_path: Path, capsys) -> None:
    (dior / 'ImageSets.zip').unlink()
    assert convert('diorr', dior, tmp_path / 'dst') == 2
    error = capsys.readouterr().err
    assert 'JPEGImages-trainval.zip: 2 .jpg' in error
    assert 'lists: 2 of 2 are not in the source: trainval.txt, test.txt' in error


@pytest.fixture
def dota(tmp_path: Path) -> Path:
    src = tmp_path / 'src'
    for part, name, size in (
        ('train', 'P0000', (1200, 600)),
        ('val', 'P0003', (300, 200)),
        ('test-dev', 'P0006', (400, 1100)),
    ):
        data = encode(picture(int(name[1:]), *size), compress_level=1)
        pack(src / part / 'images/part1.zip', {f'images/{name}.png': data})
        if part != 'test-dev':
            text = '20 20 60 20 60 50 20 50 ship 0\n'
            labels = src / part / 'labelTxt-v2.0'
            pack(labels / f'DOTA-v2.0_{part}.zip', {f'{name}.txt': text})
            pack(labels / f'DOTA-v2.0_{part}_hbb.zip', {f'{name}.txt': 'x\n'})
            old = src / part / 'labelTxt-v1.5'
            pack(old / f'DOTA-v1.5_{part}.zip', {f'{name}.txt': 'x\n'})
    return src


def test_dota(dota: Path, tmp_path: Path, capsys) -> None:
    dst = tmp_path / 'dst'
    assert convert('dotav2', dota, dst, *ARGS) == 0
    out = capsys.readouterr().out
    assert 'trainval: 3 images (3 of 1024x1024)' in out
    assert 'test: 2 images (2 of 1024x1024)' in out
    train = open_set('dotav2', 'train', dst)
    # The second patch of P0000 has no object and is left out of training.
    names = [Path(train.get_data_info(i)['img_path']).stem for i in range(len(train))]
    assert names == ['P0000__1024__0___0', 'P0003__1024__0___0']
    assert len(open_set('dotav2', 'val', dst)) == 1
    assert len(open_set('dotav2', 'test', dst)) == 2
    # The same files as those of the command that it stands for.
    unpacked = tmp_path / 'unpacked'
    for part in ('train', 'val'):
        unpack(dota / part / 'images', unpacked / part)
        with_boxes = unpacked / part / 'labelTxt'
        with_boxes.mkdir()
        name = 'P0000' if part == 'train' else 'P0003'
        (with_boxes / f'{name}.txt').write_text('20 20 60 20 60 50 20 50 ship 0\n')
    split = runpy.run_path(str(TOOLS / 'dota_split.py'))['main']
    folders = [str(unpacked / part) for part in ('train', 'val')]
    args = [str(tmp_path / 'other'), '--src', *folders, '--jobs', '1']
    assert split(args) == 0
    assert tree(tmp_path / 'other') == tree(dst / 'trainval')
    assert split([str(dst / 'trainval'), '--src', *folders, '--verify']) == 0


def test_dota_again_and_in_two_processes(dota: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        args = ('--jobs', jobs, '--counts', 'none')
        assert convert('dotav2', dota, tmp_path / f'dst{jobs}', *args) == 0
    whole = tree(tmp_path / 'dst1')
    assert tree(tmp_path / 'dst2') == whole
    for name in ('P0000__1024__176___0.png', 'P0003__1024__0___0.png'):
        (tmp_path / 'dst2/trainval/images' / name).unlink()
    assert convert('dotav2', dota, tmp_path / 'dst2', *ARGS) == 0
    assert tree(tmp_path / 'dst2') == whole


def test_dota_lacks_files(dota: Path, tmp_path: Path, capsys) -> None:
    (dota / 'val/labelTxt-v2.0/DOTA-v2.0_val.zip').unlink()
    text = {'P0000.txt': '1 2 3\n'}
    pack(dota / 'train/labelTxt-v2.0/DOTA-v2.0_train.zip', text)
    pack(dota / 'test-dev/images/part1.zip', {'images/P0006.png': b'no image'})
    assert convert('dotav2', dota, tmp_path / 'dst', '--jobs', 1) == 1
    out = capsys.readouterr().out
    assert 'BAD val labelTxt-v2.0: 1 of 1 are not in the source: P0003' in out
    assert 'BAD trainval: 1 images of the source, expected 2,423' in out
    assert 'BAD train/labelTxt-v2.0/DOTA-v2.0_train.zip/P0000.txt: line 1' in out
    assert 'BAD test-dev/images/part1.zip/images/P0006.png: ' in out
