"""The scan of a config's files, as a command."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s5_mm.datasets import MultiSourceDataset
from s5_mm.datasets.verification import scan

from .files import ids, picture, sources, write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """The command, in this process: starting one takes seconds."""
    path = Path(__file__).parents[2] / 'tools' / 'misc' / 'verify_dataset.py'
    main = runpy.run_path(str(path))['main']

    def call(config: Path, *args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['verify_dataset.py', str(config), *args])
        return (main(), *capsys.readouterr())

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    made = sources(tmp_path)
    train = {'type': 's5_mm.MultiSourceDataset', 'sources': {**made, 'mix': 'unsup'}}
    val = {**made['sup'], 'pipeline': made['sup']['pipeline'][:2]}
    loaders = {
        'train_dataloader': {'dataset': train},
        'val_dataloader': {'dataset': val},
    }
    text = '\n'.join(f'{name} = {value!r}' for name, value in loaders.items())
    (tmp_path / 'config.py').write_text(text)
    return tmp_path / 'config.py'


def test_good_data(config: Path, run: Callable) -> None:
    report = config.parent / 'report.json'
    code, out, err = run(config, '--json', str(report))
    assert code == 0, err
    assert 'train/sup: 4/4 samples' in err
    made = json.loads(report.read_text())
    assert [part['name'] for part in made] == ['train/sup', 'train/unsup', 'val']
    assert [part['samples'] for part in made] == [4, 6, 4]
    counts = np.bincount(np.concatenate([ids(i).ravel() for i in range(4)]))
    assert made[0]['pixels'] == dict(zip('abc', counts.tolist(), strict=True))
    assert f'{counts[0]:,} px' in out


def test_bad_data(config: Path, run: Callable) -> None:
    (config.parent / 'u' / '2.png').write_bytes(b'')
    write(config.parent / 'l' / 'ann_dir' / '1.png', ids(0) + 3)
    write(config.parent / 'l' / 'ann_dir' / '0.png', ids(0, 32, 39))
    code, out, err = run(config, '--split', 'train', '--jobs', '2')
    assert code == 1
    for line in (
        r'train/sup: 4 samples, 2 bad',
        r'0.png: mask of 39x32 px, its image',
        r'1.png: mask value(s) 3 (',
        r'train/unsup: 6 samples, 1 bad',
        r'2.png: the file is empty (0 bytes), expected an image',
    ):
        assert line in out
    (config.parent / 'l' / 'ann_dir' / '3.png').unlink()
    code, out, err = run(config, '--split', 'val')
    assert code == 1
    assert 'no mask *.png for 1 image(s)' in out
    code, out, err = run(config, '--split', 'test')
    assert code == 2
    assert 'no data set for --split test' in err


def test_parts_and_common_pipelines(tmp_path: Path, run: Callable) -> None:
    made = sources(tmp_path)
    for source in made.values():
        source.pop('pipeline')
    halves = [made['sup'], {**made['sup'], 'indices': 2}]
    both = {'type': 'ConcatDataset', 'datasets': halves}
    write(tmp_path / 'u' / '0.png', np.full((32, 32, 4), 200, np.uint8))
    for alpha, bad in (('drop', 0), ('error', 1)):
        train = {
            'type': 's5_mm.MultiSourceDataset',
            'sources': {'both': both, 'unsup': made['unsup']},
            'pipeline': [{'type': 's5_mm.LoadImage', 'alpha': alpha}],
        }
        path, report = tmp_path / 'config.py', tmp_path / 'report.json'
        path.write_text(f'train_dataloader = {dict(dataset=train)!r}')
        code, _, _ = run(path, '--json', str(report))
        assert code == bad
        parts = json.loads(report.read_text())
        names = ['train/both/0', 'train/both/1', 'train/unsup']
        assert [part['name'] for part in parts] == names
        assert [part['samples'] for part in parts] == [4, 2, 6]
        assert [len(part['bad']) for part in parts] == [0, 0, bad]


def test_depths(tmp_path: Path) -> None:
    """Damage inside a file is found by decoding alone."""
    dataset = MultiSourceDataset(sources(tmp_path)).datasets[0]
    write(tmp_path / 'l' / 'ann_dir' / '0.png', ids(0) + 9)
    found = {}
    for depth in ('headers', 'masks', 'full'):
        for jobs in (1, 2):
            reports = list(scan(dataset, depth, jobs))
            assert len(reports) == 4
            found[depth, jobs] = [len(report.problems) for report in reports]
            assert (reports[1].histogram is None) == (depth == 'headers')
    assert found['headers', 1] == found['headers', 2] == [0, 0, 0, 0]
    assert found['masks', 1] == found['masks', 2] == [1, 0, 0, 0]
    write(tmp_path / 'l' / 'img_dir' / '1.png', picture(1)[..., 0])
    for depth in ('headers', 'masks', 'full'):
        assert scan(dataset, depth)  # an iterator: nothing happens before it is read
        report = list(scan(dataset, depth))[1]
        assert "grey='repeat'" in report.problems[0][1]


def _halves(folder: Path, masks: list[np.ndarray], **settings: object) -> Path:
    """Write a config of one mask for training and one for validation."""
    for index, mask in enumerate(masks):
        write(folder / 'img_dir' / f'{index}.png', picture(index))
        write(folder / 'ann_dir' / f'{index}.png', mask)
    dataset = {
        'type': 's5_mm.SegDataset',
        'data_root': str(folder),
        'metainfo': {'classes': ('a', 'b')},
        'pipeline': [{'type': 's5_mm.LoadImage'}, {'type': 's5_mm.LoadMask'}],
        **settings,
    }
    halves = {'train': dict(dataset, indices=[0]), 'val': dict(dataset, indices=[1])}
    path = folder / 'config.py'
    path.write_text(
        '\n'.join(f'{n}_dataloader = {dict(dataset=h)!r}' for n, h in halves.items())
    )
    return path


def test_binary_masks_of_0_and_255(tmp_path: Path, run: Callable) -> None:
    """Half of each mask would be ignored, and nothing but class a be learned."""
    halves = [np.where(ids(seed) > 1, 255, 0).astype(np.uint8) for seed in range(2)]
    code, out, _ = run(_halves(tmp_path, halves))
    assert code == 1
    (line,) = (line for line in out.splitlines() if 'BAD' in line)
    share = np.mean([half == 255 for half in halves])
    assert line == (
        "  BAD only 'a' has pixels, nothing can be learned: class 'b': no pixel "
        f'in any split; 255 means ignore and has {share:.1%} of the pixels: if the '
        'masks hold 255 for a class, give the data set label_map={255: 1}'
    )
    code, out, _ = run(_halves(tmp_path, halves, label_map={255: 1}))
    assert code == 0
    assert 'BAD' not in out
    assert 'WARNING' not in out
    assert out.count('  b ') == 2


def test_a_class_without_pixels(tmp_path: Path, run: Callable) -> None:
    """In one split it may be; in none it is a warning, and no more."""
    masks = [np.minimum(ids(0), 1), np.full((32, 40), 2, np.uint8)]
    three = {'metainfo': {'classes': ('a', 'b', 'c')}}
    code, out, _ = run(_halves(tmp_path, masks, **three))
    assert code == 0
    assert 'WARNING' not in out
    four = {'metainfo': {'classes': ('a', 'b', 'c', 'd')}}
    report = tmp_path / 'report.json'
    code, out, _ = run(_halves(tmp_path, masks, **four), '--json', str(report))
    assert code == 0
    text = (
        "class 'd': no pixel in any split; the masks hold the ids 0, 1, 2 alone: check "
        'the order and the number of metainfo.classes, and what the masks were drawn '
        'with'
    )
    assert out.splitlines()[-1] == f'WARNING {text}'
    reports = json.loads(report.read_text())
    assert [part['warnings'] for part in reports] == [[text], []]
