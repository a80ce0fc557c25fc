"""The two commands a user lives in, as processes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint
from s5_mm.cli.config import load_config

from ..support.signals import listen_to_ctrl_c
from ..support.warm_python import warm_python
from ..test_end_to_end.toy_s4p import toy_config, write_scenes

ROOT = Path(__file__).parents[2]
# Of the student, and of its teacher.
SUMMARY = re.compile(
    r'Iter\((?:val|test)\).*? mIoU: ([\d.]+).*? mF1: ([\d.]+)'
    r'.*? teacher/mIoU: ([\d.]+).*? teacher/mF1: ([\d.]+)'
)


def _command(tool, *arguments, python=None):
    python = python or warm_python()
    return [python, '-W', 'ignore', str(ROOT / 'tools' / tool), *arguments]


def _run(tool, *arguments, status=0, python=None):
    arguments = [str(argument) for argument in arguments]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        _command(tool, *arguments, python=python),
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
    )
    output = done.stdout + done.stderr
    assert done.returncode == status, output[-3000:]
    return output


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('commands')
    write_scenes(folder / 'data')
    config = folder / 'toy.py'
    cfg = toy_config(folder / 'data')
    cfg.tta_pipeline = load_config(
        str(ROOT / 'configs/s4p/vit-t_dubai.py')
    ).tta_pipeline
    cfg.dump(config)
    arguments = config, '--work-dir', folder / 'run'
    output = _run('train.py', *arguments, python=sys.executable)
    return config, folder / 'run', output


def test_training_shows_progress_with_eta(trained):
    _, work_dir, output = trained
    assert re.search(r'Iter\(train\) \[ ?9/12\].*eta: .*loss_sup: .*mask_ratio', output)
    # Environment and config are in the log file alone.
    (log,) = work_dir.glob('*/*.log')
    for part in ('System environment', 'optim_wrapper = ', 'Hooks will be executed'):
        assert part in log.read_text(), part
        assert part not in output, part
    assert f'log {log} (environment' in output
    assert 'OneDL' not in output
    assert (work_dir / 'last_checkpoint').exists()
    pictures = list(work_dir.rglob('pseudo_labels_*.png'))
    assert pictures


def test_test_reproduces_the_figures_of_the_training(trained):
    config, work_dir, output = trained
    final = SUMMARY.findall(output)[-1]
    out, show = work_dir / 'masks', work_dir / 'pictures'
    tested = _run(
        'test.py',
        config,
        (work_dir / 'last_checkpoint').read_text(),
        '--out',
        out,
        '--show-dir',
        show,
        '--work-dir',
        work_dir / 'test',
        python=sys.executable,
    )
    assert SUMMARY.findall(tested)[-1] == final
    assert len(list(out.glob('*.png'))) == 3
    scenes = sorted((config.parent / 'data/img_dir/val').glob('*.png'))
    want = [f'test_{scene.stem}_{i}.png' for i, scene in enumerate(scenes, start=1)]
    assert len(want) == 3
    assert sorted(path.name for path in show.iterdir()) == want
    assert f'pictures in {show}\n' in tested
    assert f'predictions in {out}\n' in tested


def test_tta_averages_the_flips(trained, tmp_path):
    config, work_dir, output = trained
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    tested = _run('test.py', config, checkpoint, '--work-dir', tmp_path, '--tta')
    plain, flipped = (SUMMARY.findall(text)[-1] for text in (output, tested))
    for own in (0, 2):  # mIoU of both networks
        assert plain[own] != flipped[own]
        assert abs(float(plain[own]) - float(flipped[own])) < 10


def test_two_processes_evaluate_to_the_same_figures(trained, tmp_path):
    config, work_dir, output = trained
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': str(ROOT),
        'PYTHON': warm_python(),
        'PORT': '29613',
    }
    script = ROOT / 'tools' / 'dist_test.sh'
    done = subprocess.run(
        ['bash', script, config, checkpoint, '2', '--work-dir', tmp_path],
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    assert SUMMARY.findall(text)[-1] == SUMMARY.findall(output)[-1]


def test_checkpoint_of_another_model_is_refused(trained, tmp_path):
    config, work_dir, _ = trained
    output = _run(
        'test.py',
        config,
        (work_dir / 'last_checkpoint').read_text(),
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.segmentor.decode_head.channels=8',
        status=2,
    )
    assert 'conv_seg.weight: found (6, 16, 1, 1), the model has (6, 8, 1, 1)' in output


@pytest.mark.parametrize(
    ('number', 'status'), [(signal.SIGTERM, 75), (signal.SIGINT, 130)]
)
def test_interrupted_and_resumed_equals_never_stopped(
    trained, tmp_path, number, status
):
    config, work_dir, _ = trained
    # Ctrl-C meets a new interpreter too, the scheduler's signal a forked one.
    python = sys.executable if number == signal.SIGINT else None
    arguments = str(config), '--work-dir', str(tmp_path)
    command = _command('train.py', *arguments, python=python)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    log = tmp_path / 'stdout.log'
    with open(log, 'w') as stream:
        child = subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            env=environment,
            preexec_fn=listen_to_ctrl_c,
        )
        until = time.time() + 240
        # After the first checkpoint, which is saved at iteration 4.
        while not (tmp_path / 'last_checkpoint').exists() and time.time() < until:
            assert child.poll() is None, log.read_text()[-3000:]
            time.sleep(0.01)
        child.send_signal(number)
        assert child.wait(timeout=240) == status, log.read_text()[-3000:]
    saved = (tmp_path / 'last_checkpoint').read_text()
    line = {
        signal.SIGTERM: 'The same command with --resume goes on from there.',
        signal.SIGINT: f'The same command with --resume goes on from {saved}',
    }
    assert line[number] in log.read_text()
    assert last_checkpoint(tmp_path)['meta']['iter'] < 12
    _run('train.py', config, '--work-dir', tmp_path, '--resume')
    assert (
        checkpoint_differences(last_checkpoint(work_dir), last_checkpoint(tmp_path))
        == []
    )
