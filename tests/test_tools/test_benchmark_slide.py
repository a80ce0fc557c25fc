"""The benchmark of sliding windows prints what it measured and rejects what it must."""

import re

import pytest
import torch

from tools.benchmarks import benchmark_slide as tool
from tools.benchmarks import side_by_side

SMALL = ['--sides', '48', '64', '--classes', '3', '--crop', '16', '--stride', '12']
SMALL += ['--rounds', '1', '--tall', '0']


@pytest.fixture(autouse=True)
def _restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_prints_both_sizes(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', 100.0)
    assert tool.main(SMALL) == 0
    out = capsys.readouterr().out
    for line in ('3 classes, windows of 16 px every 12', 'ours, 48 px', 'mmseg, 64 px'):
        assert line in out
    assert 'peak memory' not in out


def test_a_failed_control_rejects_the_measurement(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', -1.0)
    assert tool.main(SMALL) == 3
    assert 'REJECTED' in capsys.readouterr().out


def test_time_is_that_of_one_window():
    ticks = iter(range(1000))
    args = tool.parse_args(SMALL)
    # The clock ticks when it is read: three times a window, one tick is the network's.
    assert tool.mmseg(args, 48, lambda: float(next(ticks))) == 2.0
    # 64 px have 25 windows, so two images of 16. Twice in the only batch of each, one
    # of which is left out, and once at the end.
    assert tool.ours(args, 48, lambda: float(next(ticks))) == 3 / 32
    args.window_batch = 2
    assert tool.ours(args, 48, lambda: float(next(ticks))) == 17 / 32
    args.host_windows = 100
    with pytest.raises(ValueError, match='48 px have 16 windows, --host-windows=100'):
        tool.mmseg(args, 48, lambda: 0.0)


def test_network_writes_every_batch_anew_and_counts_its_time():
    args = tool.parse_args(SMALL)
    network = tool.StubNetwork(args, 48, iter([0.0, 5.0, 7.0, 10.0]).__next__)
    first = network(torch.zeros(4, 3, 16, 16), [])
    assert first.shape == (4, 3, 16, 16)
    want = first.clone()
    first.zero_()
    again = network(torch.zeros(4, 3, 16, 16), [])
    assert again.equal(want)
    assert again.data_ptr() == first.data_ptr()
    assert network.seconds == 8.0


def test_memory_is_that_of_other_processes(monkeypatch):
    calls = []

    def run(command, **_):
        calls.append([int(value) for value in command[-5:]])
        return type('', (), dict(stdout=f'10.0 {100 + len(calls)}.0\n'))

    monkeypatch.setattr(tool.subprocess, 'run', run)
    args = tool.parse_args([*SMALL, '--tall', '4'])
    assert tool.peak_growth(args, 64) == (101.0, 102.0)
    assert calls == [[64, 64, 3, 16, 12], [256, 64, 3, 16, 12]]


def test_measuring_process_runs(monkeypatch, capsys):
    monkeypatch.setattr(tool.sys, 'argv', ['-c', '40', '20', '2', '16', '12'])
    exec(tool.MEASURE, {})
    before, after = map(float, re.findall(r'[\d.]+', capsys.readouterr().out))
    assert 0 < before <= after
