"""Archives that are not those of a data set: what is there and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from .archives import convert, pack

NEEDS = {'isaid': 'shapely', 'dotav2': 'shapely', 'openearthmap': 'rasterio'}
IMAGE, TRAIN = 'images/P0000.png', 'Train/Rural/images_png/0.png'
ORTHO = 'a/2_Ortho_RGB.zip'


@pytest.mark.parametrize(
    ('name', 'archive', 'members', 'messages'),
    [
        ('isaid', 'part1', [IMAGE], ['the folders train and val are needed']),
        ('dotav2', 'part1', [IMAGE], ['the folders train, val and test-dev (or test)']),
        (
            'loveda',
            'potsdam',
            ['2_Ortho_RGB/a.tif', 'b.zip'],
            [
                'nothing of loveda can be made of this; found: potsdam.zip: ',
                'unpack first: potsdam.zip/b.zip',
                'Train.zip Train/{Rural,Urban}/{images_png,masks_png}/<number>.png',
            ],
        ),
        (
            'openearthmap',
            'a',
            ['aachen/images/aachen_1.tif'],
            ['lists: 3 of 3 are not in the source: train_wo_xBD.txt'],
        ),
        *(
            (name, name, [ORTHO], [f'first: {name}.zip/{ORTHO}', 'with --labels full'])
            for name in ('potsdam', 'vaihingen')
        ),
        ('millionaid', 'Train', [TRAIN], ['an archive train... and test... is needed']),
        ('samrs', 'Train', [TRAIN], ['dotav2_1024/trainval/images/*.png']),
        ('star', 'Train', [TRAIN], ['train/img/0001.png']),
    ],
)
def test_they_are_refused(name, archive, members, messages, tmp_path: Path, capsys):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    pack(tmp_path / f'src/{archive}.zip', dict.fromkeys(members, b''))
    assert convert(name, tmp_path / 'src', tmp_path / 'dst') == 2
    error = capsys.readouterr().err
    (suffix,) = {Path(member).suffix for member in members[:1]}
    if suffix != '.zip':
        assert f'found: {archive}.zip: 1 {suffix}' in error
    for message in messages:
        assert message in error
    assert not (tmp_path / 'dst').exists()
