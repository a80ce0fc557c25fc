"""The command that proves resume and processes on one's own data."""

import re
import sys
from pathlib import Path

import pytest

from tools.misc import check_resume

from ..support.warm_python import warm_python
from ..test_end_to_end.toy_s4p import toy_config, write_scenes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A toy run of 8 iterations in mixed precision."""
    write_scenes(tmp_path / 'data')
    cfg = toy_config(
        tmp_path / 'data',
        optim_wrapper__type='s5_mm.AmpOptimWrapper',
        optim_wrapper__dtype='bfloat16',
        train_cfg__max_iters=8,
        train_cfg__val_interval=8,
        default_hooks__logger__interval=1,
        train_dataloader__batch_size=8,
    )
    cfg.dump(tmp_path / 'toy.py')
    monkeypatch.setattr(sys, 'executable', warm_python())
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('PORT', '29617')
    return tmp_path / 'toy.py'


def test_whole_schedule(config, tmp_path, capsys):
    work_dir = tmp_path / 'check'
    check_resume.main(
        [str(config), '--full', '--exact', '--kills', '1', '--work-dir', str(work_dir)]
    )
    output = capsys.readouterr().out
    assert 'killed and resumed: 0 differences\n' in output
    (worst,) = re.findall(
        r'two processes: train/loss differs by at most (\S+),', output
    )
    assert 0 < float(worst) < 1e-3
    rows = re.findall(r'\| (whole|killed|two) \| ([\d.]+) \| ([\d.]+) \|', output)
    assert [name for name, _, _ in rows] == ['whole', 'killed', 'two']
    assert all(end == tested for _, end, tested in rows)
    assert rows[0][1:] == rows[1][1:]
    written = (work_dir / 'two.py').read_text()
    assert 'AmpOptimWrapper' not in written
    assert 'bfloat16' not in written


def test_kills_are_spread_over_the_schedule():
    moments = check_resume.kill_moments(600, 3, seed=0)
    assert [int(moment // 200) for moment in moments] == [0, 1, 2]
    assert moments != check_resume.kill_moments(600, 3, seed=1)


def test_position_counts_on_between_the_lines_of_the_log(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(check_resume.time, 'monotonic', lambda: clock[0])
    log = tmp_path / 'run.log'
    line = 'Iter(train) [{}/600]  lr: 1e-3  time: {}  data_time: 0.1  loss: 1.0\n'
    log.write_text(line.format(' 50', '0.5'))  # of a process that was killed
    position = check_resume.Position(log)
    assert position() == 0
    with log.open('a') as file:
        file.write(line.format(' 25', '0.5'))
    assert position() == 25
    clock[0] = 5.0
    assert position() == 35
    with log.open('a') as file:
        file.write(line.format('100', '2.0'))
    assert position() == 100
    clock[0] = 9.0
    assert position() == 102
