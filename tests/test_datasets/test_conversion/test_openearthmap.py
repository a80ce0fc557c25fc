"""OpenEarthMap, with and without the regions of xBD."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

pytest.importorskip('rasterio', reason="rasterio comes with pip install 's5_mm[geo]'")

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

CONFIG = TOOLS.parents[1] / 'configs/_base_/datasets/openearthmap.py'
ARGS = ('--jobs', 1, '--counts', 'none')
# Name -> seed; palu is a region of xBD.
NAMES = {'aachen_1': 1, 'new_york_2': 2, 'aachen_3': 3, 'palu_4': 4, 'palu_5': 5}
LISTS = {
    'train.txt': ['aachen_1', 'palu_4'],
    'train_wo_xBD.txt': ['aachen_1'],
    'val.txt': ['new_york_2'],
    'val_wo_xBD.txt': ['new_york_2'],
    'test.txt': ['aachen_3', 'palu_5'],
}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    top = 'OpenEarthMap/OpenEarthMap_wo_xBD'
    members = {}
    for name, seed in NAMES.items():
        region = name.rpartition('_')[0]
        if region != 'palu':
            data = encode(picture(seed), 'TIFF')
            members[f'{top}/{region}/images/{name}.tif'] = data
        if seed not in (3, 5):
            data = encode(ids(seed, 9), 'TIFF')
            members[f'{top}/{region}/labels/{name}.tif'] = data
    for file, names in LISTS.items():
        members[f'{top}/{file}'] = ''.join(f'{name}.tif\n' for name in names)
    members[f'{top}/xbd_files.csv'] = ''.join(
        f'palu-tsunami_0000000{seed}_pre_disaster.png,palu_{seed}.tif\n'
        for seed in (4, 5)
    )
    pack(tmp_path / 'src/OpenEarthMap.zip', members)
    return tmp_path / 'src'


def add_xbd(src: Path) -> None:
    members = {}
    for seed in (4, 5, 6):
        name = f'palu-tsunami_0000000{seed}'
        data = encode(picture(seed))
        members[f'train/images/{name}_pre_disaster.png'] = data
        members[f'train/images/{name}_post_disaster.png'] = data
        members[f'train/targets/{name}_pre_disaster_target.png'] = data
    pack(src / 'train_images_labels_targets.zip', members)


def check(dst: Path, split: str, ann_file: str, names: list[str]) -> None:
    config = Config.fromfile(str(CONFIG))['openearthmap'][split].to_dict()
    pipeline = [{'type': 's5_mm.LoadImage'}, {'type': 's5_mm.LoadMask'}]
    dataset = DATASETS.build(
        {**config, 'ann_file': ann_file, 'data_root': str(dst), 'pipeline': pipeline}
    )
    assert [Path(dataset[i]['img_path']).stem for i in range(len(dataset))] == names
    for index, name in enumerate(names):
        sample = dataset[index]
        np.testing.assert_array_equal(sample['img'], picture(NAMES[name]))
        np.testing.assert_array_equal(sample['gt_seg_map'], ids(NAMES[name], 9))


def test_without_xbd(src: Path, tmp_path: Path, capsys) -> None:
    dst = tmp_path / 'dst'
    known = counts(tmp_path / 'k.json', 'openearthmap', train=(1,), val=(1,), test=(1,))
    assert convert('openearthmap', src, dst, '--jobs', 1, '--counts', known) == 0
    check(dst, 'train', 'train_wo_xBD.txt', ['aachen_1'])
    check(dst, 'val', 'val_wo_xBD.txt', ['new_york_2'])
    out = capsys.readouterr().out
    assert 'test: 1 images (1 of 32x24)' in out
    # The files are the owners' ones, with their coordinates.
    data = (dst / 'aachen/images/aachen_1.tif').read_bytes()
    assert data == encode(picture(1), 'TIFF')
    assert (dst / 'test_wo_xBD.txt').read_text() == 'aachen_3.tif\n'
    assert not (dst / 'palu').exists()


def test_with_xbd(src: Path, tmp_path: Path) -> None:
    add_xbd(src)
    known = counts(
        tmp_path / 'k.json', 'openearthmap, xBD', train=(2,), val=(1,), test=(2,)
    )
    made = []
    for jobs in (1, 2):
        dst = tmp_path / f'dst{jobs}'
        args = ('--jobs', jobs, '--counts', known, '--xbd')
        assert convert('openearthmap', src, dst, *args) == 0
        made.append(tree(dst))
    assert made[0] == made[1]
    check(dst, 'train', 'train.txt', ['aachen_1', 'palu_4'])
    assert (dst / 'palu/images/palu_5.tif').exists()
    assert not list(dst.rglob('*_6*'))


def test_xbd_images_are_missing(src: Path, tmp_path: Path, capsys) -> None:
    args = (src, tmp_path / 'dst', *ARGS, '--xbd')
    assert convert('openearthmap', *args) == 1
    out = capsys.readouterr().out
    assert 'images of train.txt: 1 of 2 are not in the source: palu_4.tif' in out
    assert 'use ann_file' in out  # what the data set says of it


@pytest.mark.parametrize(
    ('file', 'text', 'error'),
    [
        ('train_wo_xBD.txt', '../../x_1.tif', "'../../x_1.tif', expected <region>_<n>"),
        ('xbd_files.csv', 'a.png;b_1.tif', "line 'a.png;b_1.tif', expected <image of"),
        ('xbd_files.csv', 'a.png,b.tif', "'b.tif', expected <region>_<n>.tif"),
    ],
)
def test_bad_lists(tmp_path: Path, capsys, file: str, text: str, error: str) -> None:
    pack(tmp_path / 'src/a.zip', {file: text, 'aachen/images/aachen_1.tif': b''})
    assert convert('openearthmap', tmp_path / 'src', tmp_path / 'dst', *ARGS) == 2
    assert f'a.zip/{file}: {error}' in capsys.readouterr().err
