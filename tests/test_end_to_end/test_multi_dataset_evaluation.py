"""Three data sets, one command: figures, masks, archive and pictures."""

import os
import re
import subprocess
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from s5_mm.registry import MODELS
from s5_mm.testing.toy import toy_backbone

from ..support.warm_python import warm_python

ROOT = Path(__file__).parents[2]
PALETTES = dict(
    city=[[250, 250, 250], [200, 30, 30], [30, 30, 200]],
    rural=[[120, 200, 90], [60, 120, 220]],
    secret=[[10, 20, 30], [200, 210, 0], [0, 210, 200], [210, 0, 200]],
)
COUNTS = dict(city=4, rural=2, secret=3)
SIZES = dict(city=(40, 56), rural=(32, 32), secret=(48, 40))


def _write(root):
    random = np.random.default_rng(0)
    for name, count in COUNTS.items():
        for kind in ('img', 'ann'):
            (root / name / kind).mkdir(parents=True)
        for i in range(count):
            image = random.integers(0, 256, (*SIZES[name], 3), dtype=np.uint8)
            mask = random.integers(0, len(PALETTES[name]), SIZES[name], dtype=np.uint8)
            mask[:5] = 255
            assert cv2.imwrite(str(root / name / 'img' / f'{i}.png'), image)
            assert cv2.imwrite(str(root / name / 'ann' / f'{i}.png'), mask)


def _config(root):
    cfg = Config.fromfile(ROOT / 'configs/_base_/default_runtime_seg.py')
    head = dict(
        type='s5_mm.UPerHead',
        in_channels=[32] * 4,
        in_index=[0, 1, 2, 3],
        channels=16,
        align_corners=False,
    )
    cfg.model = dict(
        type='s5_mm.MultiDatasetSegmentor',
        data_preprocessor=dict(
            type='s5_mm.MultiDatasetDataPreprocessor', mean=[128.0] * 3, std=[60.0] * 3
        ),
        backbone=toy_backbone(type='s5_mm.ViTMoE', part_features=16),
        decode_head=head,
        datasets={
            name: dict(num_classes=len(palette)) for name, palette in PALETTES.items()
        },
    )
    sources = {
        name: dict(
            type='s5_mm.SegDataset',
            data_root=str(root / name),
            data_prefix=dict(img_path='img', seg_map_path='ann'),
            metainfo=dict(
                classes=[f'{name} {i}' for i in range(len(palette))], palette=palette
            ),
            pipeline=[
                dict(type='s5_mm.LoadImage'),
                dict(type='s5_mm.LoadMask'),
                dict(type='s5_mm.PackSample'),
            ],
        )
        for name, palette in PALETTES.items()
    }
    # A benchmark's test images: their truth is with the server.
    del sources['secret']['data_prefix'], sources['secret']['pipeline'][1]
    sources['secret'].update(type='s5_mm.UnlabelledDataset', data_dir='img')
    cfg.test_dataloader = dict(
        batch_size=2,  # mixes data sets with 2 processes, the last sample is repeated
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(type='s5_mm.MultiSourceDataset', sources=sources),
    )
    metrics = {name: dict(type='s5_mm.SegmentationMetric') for name in PALETTES}
    metrics['secret'].update(format_only=True, archive='sent.zip', id_offset=1)
    cfg.test_evaluator = dict(
        type='s5_mm.MultiDatasetMetric', metrics=metrics, headline=dict(city='mF1')
    )
    cfg.test_cfg = dict(type='TestLoop')
    return cfg


def _test(folder, processes):
    out = folder / f'out{processes}'
    script = [str(ROOT / 'tools' / 'test.py')]
    arguments = [folder / 'config.py', folder / 'model.pth']
    if processes > 1:
        script = ['bash', str(ROOT / 'tools' / 'dist_test.sh')]
        arguments.append(processes)
    done = subprocess.run(
        [
            *([warm_python()] if processes == 1 else []),
            *script,
            *map(str, arguments),
            *('--work-dir', str(out / 'run')),
            *('--out', str(out / 'masks'), '--show-dir', str(out / 'pictures')),
        ],
        capture_output=True,
        text=True,
        cwd=folder,  # the host collects in ./.dist_test
        timeout=280,
        env={
            **os.environ,
            'OMP_NUM_THREADS': '1',
            'PYTHONPATH': str(ROOT),
            'PYTHON': warm_python(),
            'PORT': '29631',
        },
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    return text, out


@pytest.fixture(scope='module')
def tested(tmp_path_factory):
    folder = tmp_path_factory.mktemp('several')
    _write(folder / 'data')
    cfg = _config(folder / 'data')
    cfg.dump(folder / 'config.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if name.endswith('conv_seg.weight'):
            torch.nn.init.normal_(parameter)  # else one class is everywhere
    torch.save(dict(meta=dict(), state_dict=model.state_dict()), folder / 'model.pth')
    return {processes: (folder, *_test(folder, processes)) for processes in (1, 2)}


def _read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def _figures(folder, out, name):
    """Figures of the masks on disk, pixel by pixel."""
    classes = len(PALETTES[name])
    confusion = np.zeros((classes, classes))
    for i in range(COUNTS[name]):
        truth = _read(folder / 'data' / name / 'ann' / f'{i}.png')
        mask = _read(out / 'masks' / name / f'{i}.png')
        assert mask.shape == truth.shape == SIZES[name]
        for t, p in zip(truth.ravel().tolist(), mask.ravel().tolist(), strict=True):
            if t != 255:
                confusion[t, p] += 1
    hit, rows, columns = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return dict(
        mIoU=100 * np.mean(hit / (rows + columns - hit)),
        mF1=100 * np.mean(2 * hit / (rows + columns)),
        OA=100 * hit.sum() / rows.sum(),
    )


@pytest.mark.parametrize('processes', [1, 2])
def test_figures_are_those_of_the_masks(tested, processes):
    folder, text, out = tested[processes]
    line = next(line for line in text.splitlines() if 'average: ' in line)
    got = {key: float(value) for key, value in re.findall(r'(\S+): ([\d.]+)', line)}
    want = {name: _figures(folder, out, name) for name in ('city', 'rural')}
    for name, figures in want.items():
        assert len({round(value, 1) for value in figures.values()}) == 3
        for key, value in figures.items():
            assert got[f'{name}/{key}'] == pytest.approx(value, abs=0.0051)
    average = (want['city']['mF1'] + want['rural']['mIoU']) / 2
    assert got['average'] == pytest.approx(average, abs=0.0101)
    assert not [key for key in got if key.startswith('secret')]
    assert 'city, per class, in %' in text
    assert 'all data sets, in %' in text


def test_two_processes_write_the_files_of_one(tested):
    found = {}
    for processes, (_, _, out) in tested.items():
        found[processes] = {
            path.relative_to(out).as_posix(): path.read_bytes()
            for part in ('masks', 'pictures')
            for path in (out / part).rglob('*')
            if path.is_file()
        }
    assert found[1] == found[2]
    numbers = [(name, i) for name, count in COUNTS.items() for i in range(count)]
    masks = {f'masks/{name}/{i}.png' for name, i in numbers}
    pictures = {f'pictures/{n}_{i}_{k}.png' for k, (n, i) in enumerate(numbers, 1)}
    assert set(found[1]) == masks | pictures | {'masks/secret/sent.zip'}


def test_archive_for_the_server(tested):
    out = tested[2][2]
    with zipfile.ZipFile(out / 'masks' / 'secret' / 'sent.zip') as archive:
        assert archive.namelist() == ['0.png', '1.png', '2.png']
    mask = _read(out / 'masks' / 'secret' / '0.png')
    assert mask.shape == SIZES['secret']
    assert mask.min() >= 1
    assert mask.max() <= 4


def test_pictures_have_the_colours_of_their_data_set(tested):
    _, _, out = tested[1]
    for number, name in ((1, 'city'), (5, 'rural'), (7, 'secret')):
        picture = _read(out / 'pictures' / f'{name}_0_{number}.png')[..., ::-1]
        mask = _read(out / 'masks' / name / '0.png').astype(int)
        mask -= name == 'secret'  # its id_offset
        scale = 320 / max(mask.shape)
        left = 8 + (1 if name == 'secret' else 2) * 328
        top = 8 + 320 // 9 + 2
        height, width = round(mask.shape[0] * scale), round(mask.shape[1] * scale)
        top, left = top + (320 - height) // 2, left + (320 - width) // 2
        tile = picture[top : top + height, left : left + width]
        want = cv2.resize(
            np.array(PALETTES[name], np.uint8)[mask],
            (width, height),
            interpolation=cv2.INTER_NEAREST,
        )
        assert np.array_equal(tile, want), name
