"""The demo from end to end, on a few scenes and iterations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import pytest

from ..support.signals import listen_to_ctrl_c

ROOT = Path(__file__).parents[2]
DEMO = ROOT / 'tools' / 'demo.py'
sys.path.insert(0, str(ROOT / 'tools'))
import demo_processes  # noqa: E402
from demo import main, parse_args  # noqa: E402
from demo_budget import FULL, Plan, fit  # noqa: E402
from demo_processes import call, condense  # noqa: E402
from demo_steps import Demo  # noqa: E402

from s5_mm.io.heartbeat import Heartbeat  # noqa: E402

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
    assert (
        condense('scan: 400/400 crops, 1,310.2/s    ') == 'scan: 400 crops, 1,310.2/s'
    )
    assert condense('scan: 40/400 crops, 1,310.2/s ETA 2 s') == ''


def test_a_silent_command_shows_that_it_is_at_work(tmp_path, monkeypatch):
    script, go = tmp_path / 'slow.py', tmp_path / 'go'
    script.write_text(
        'import pathlib, sys, time\n'
        "print('plan: 4/4 images, 1.0/s    ', flush=True)\n"
        'while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n'
    )
    shown = []

    def show(text):
        shown.append(text)
        if 'at work' in text:
            go.touch()

    monkeypatch.setattr(demo_processes, '_show', show)
    monkeypatch.setattr(demo_processes, 'Heartbeat', partial(Heartbeat, every=0.05))
    call([script, go])
    assert 'plan: 4 images, 1.0/s' in shown
    assert 'slow: at work for 0 s' in shown
    shown.clear()
    call([script, go], shown=False)
    assert 'plan: 4 images, 1.0/s' not in shown


# -- the time that it takes ------------------------------------------------------------
def test_a_fast_machine_does_all_iterations():
    plan = fit(10, spent=40, overhead=8, speed=(0.13, 0.33))
    assert plan.iters == FULL == (800, 500)
    assert plan.minutes == pytest.approx((40 + 12 * 8 + 800 * 0.13 + 500 * 0.46) / 60)
    assert plan.minutes < 10


@pytest.mark.parametrize(('minutes', 'most'), [(10, 1), (30, 3)])
def test_a_slow_machine_does_a_share_of_both(minutes, most):
    plan = fit(minutes, spent=60, overhead=15, speed=(0.5, 1.2))
    initial, continued = plan.iters
    assert initial < 800 * most
    assert initial / continued == pytest.approx(8 / 5, rel=0.01)
    # What was reserved is the only time that is left.
    assert plan.minutes == pytest.approx(0.95 * minutes)


def test_more_time_is_used_and_too_little_time_is_not_denied():
    assert fit(30, 10, 2, (0.01, 0.02)).iters == (2400, 1500)
    plan = fit(1, spent=60, overhead=15, speed=(0.5, 1.2))
    assert plan.iters == (40, 25)
    assert plan.minutes > 1
    assert str(plan) == (
        '40 iterations, then 25 without and with FixMatch: about 5 minutes in all at '
        '0.50 and 1.20 s per iteration'
    )
    assert str(Plan((4, 2))) == '4 iterations, then 2 without and with FixMatch'


def test_the_next_start_keeps_the_iterations_that_were_measured(tmp_path, capsys):
    sizes = ['--scenes', '4', '8', '2', '--work-dir', str(tmp_path)]
    args = parse_args([*sizes, '--minutes', '0.01'])
    first = Demo(args)
    first.pictures.mkdir()
    first.draw(1)
    first.plan(2)
    assert tuple(first.settings.iters) == (40, 25)
    out = capsys.readouterr().out
    assert '[2/10] measuring how fast this machine trains\n' in out
    chosen = out.splitlines()[-1]
    assert chosen.startswith('[2/10] 40 iterations, then 25 without and with FixMatch')
    supervised, fixmatch = first.state['plan']['plan']['speed']
    assert 0 < supervised < fixmatch

    again = Demo(args)
    again.plan(2)
    assert capsys.readouterr().out.splitlines() == [chosen]
    assert list(again.settings.iters) == [40, 25]
    # What is asked for now counts.
    given = Demo(parse_args([*sizes, '--iters', '4', '2']))
    given.plan(2)
    assert given.settings.iters == [4, 2]


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
    assert done.stdout.startswith('loading torch and s5_mm\n[1/10] 4 labelled')
    assert 'initial model: trained before' in done.stdout
    state = json.loads((work_dir / 'state.json').read_text())
    for name in ('warm_start', 'supervised', 'fixmatch'):
        assert 0 <= state[name]['metrics']['mIoU'] <= 100
    ours, theirs = (
        f'{state[name]["metrics"]["mIoU"]:.2f}' for name in ('fixmatch', 'supervised')
    )
    assert f'Supervised-only {theirs} mIoU, FixMatch {ours} mIoU' in done.stdout
    assert (work_dir / 'summary.md').read_text() in done.stdout
    few = 'The whole demo has 800 and 500 iterations; so few say little. `--minutes 60`'
    assert few in done.stdout
    for name in ('scenes', 'predictions', 'pseudo_labels', 'curves'):
        picture = cv2.imread(str(work_dir / 'pictures' / f'{name}.png'))
        assert picture.std() > 10, name

    # Nothing is repeated, unless what it depends on has changed.
    again = subprocess.run(**_command(work_dir))
    assert again.stdout.count('before') == 7
    assert 'chosen before' in again.stdout
    assert 'Iter' not in again.stdout


@pytest.mark.parametrize('argument', ['--scenes', '--iters', '--minutes'])
def test_wrong_arguments(argument, capsys):
    with pytest.raises(SystemExit):
        parse_args([argument, 'x'])
    assert argument in capsys.readouterr().err


@pytest.mark.parametrize('minutes', ['0', '-1', 'nan', 'inf'])
def test_no_time_is_refused(minutes, capsys):
    with pytest.raises(SystemExit):
        parse_args(['--minutes', minutes])
    error = capsys.readouterr().err
    assert f'--minutes {minutes}, expected is a time above 0' in error


def test_fresh_removes_no_other_folder(tmp_path):
    (tmp_path / 'mine.txt').touch()
    with pytest.raises(ValueError, match=r'has no state\.json'):
        main(['--work-dir', str(tmp_path), '--fresh'])
    assert (tmp_path / 'mine.txt').exists()
