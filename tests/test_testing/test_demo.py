"""The demo from end to end, on a few scenes and iterations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from tests.signals import listen_to_ctrl_c

ROOT = Path(__file__).parents[2]
DEMO = ROOT / 'tools' / 'demo.py'
sys.path.insert(0, str(ROOT / 'tools'))
from demo import main, parse_args  # noqa: E402
from demo_processes import condense  # noqa: E402

LOG = '11/20 22:58:30 - mmengine - INFO - '


def test_condense():
    line = (
        'Iter(train) [ 50/600]    base_lr: 1.0e-03 lr: 1.0e-03  eta: 0:01:50  '
        'time: 0.2013  data_time: 0.0100  loss: 1.2500  loss_sup: 0.9000  '
        'mask_ratio: 0.3100'
    )
    assert condense(LOG + line).split() == (
        [
            '50/600',
            'eta',
            '0:01:50',
            '0.2013',
            's/it',
            'loss',
            '1.2500',
            'mask_ratio',
            '0.3100',
        ]
    )
    assert 'mIoU 41.5000' in condense(LOG + 'Iter(val) [9/9]    mIoU: 41.5000  OA: 7')
    assert condense(LOG + 'Iter(val) [2/9]    eta: 0:00:01  time: 0.1') == ''
    assert condense(LOG + 'Hooks will be executed in the following order:') == ''
    warning = '1 - mmengine - WARNING - no pseudo-label has reached conf_thresh=0.9'
    assert condense(warning) == warning


def _command(work_dir, *more):
    sizes = ['--scenes', '4', '8', '2', '--iters', '4', '4']
    command = [sys.executable, str(DEMO), '--work-dir', str(work_dir), *sizes, *more]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    return dict(
        args=command, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, cwd=ROOT, preexec_fn=listen_to_ctrl_c,
    )  # fmt: skip


def test_demo_goes_on_where_it_was_interrupted(tmp_path):
    work_dir = tmp_path / 'demo'
    process = subprocess.Popen(**_command(work_dir))
    for line in process.stdout:
        if 'supervised-only: train' in line:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    state = json.loads((work_dir / 'state.json').read_text())
    assert state['warm_start']['trained']
    assert not state['supervised'].get('trained')

    done = subprocess.run(**_command(work_dir))
    assert done.returncode == 0, done.stdout
    assert 'initial model: trained before' in done.stdout
    state = json.loads((work_dir / 'state.json').read_text())
    for name in ('warm_start', 'supervised', 'fixmatch'):
        assert 0 <= state[name]['metrics']['mIoU'] <= 100
    ours, theirs = (
        f'{state[name]["metrics"]["mIoU"]:.2f}' for name in ('fixmatch', 'supervised')
    )
    assert f'Supervised-only {theirs} mIoU, FixMatch {ours} mIoU' in done.stdout
    assert (work_dir / 'summary.md').read_text() in done.stdout
    for name in ('scenes', 'predictions', 'pseudo_labels', 'curves'):
        picture = cv2.imread(str(work_dir / 'pictures' / f'{name}.png'))
        assert picture.std() > 10, name

    # Nothing is repeated, unless what it depends on has changed.
    again = subprocess.run(**_command(work_dir))
    assert again.stdout.count('before') == 7
    assert 'chosen before' in again.stdout
    assert 'Iter' not in again.stdout


@pytest.mark.parametrize('argument', ['--scenes', '--iters'])
def test_wrong_arguments(argument, capsys):
    with pytest.raises(SystemExit):
        parse_args([argument, 'x'])
    assert argument in capsys.readouterr().err


def test_fresh_removes_no_other_folder(tmp_path):
    (tmp_path / 'mine.txt').touch()
    with pytest.raises(ValueError, match=r'has no state\.json'):
        main(['--work-dir', str(tmp_path), '--fresh'])
    assert (tmp_path / 'mine.txt').exists()
