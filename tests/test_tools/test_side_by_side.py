"""Timing side by side: rotating order, both ratios, a control that rejects."""

import ctypes
import resource
from pathlib import Path

import pytest
import torch

from tools.benchmarks import side_by_side


def test_ratios_are_of_minima_and_of_rounds():
    assert side_by_side.ratios([1.0, 2.0, 4.0], [3.0, 2.0, 8.0]) == (2.0, 2.0)
    assert side_by_side.ratios([1.0, 1.0, 1.0], [1.0, 3.0, 5.0]) == (1.0, 3.0)


def test_alternatives_are_interleaved_in_rotating_order():
    order, now = [], iter(range(100))
    runs = {name: lambda name=name: order.append(name) for name in ('a', 'b')}
    times = side_by_side.measure(runs, rounds=2, clock=lambda: float(next(now)))
    assert order == ['a', 'b', 'b', 'a', 'a', 'b']
    assert times == dict(a=[1.0, 1.0], b=[1.0, 1.0])


def test_what_is_called_before_each_is_not_timed():
    now = [0.0]

    def take(seconds):
        now[0] += seconds

    times = side_by_side.measure(
        dict(a=lambda: take(1.0)), 2, lambda: now[0], lambda: take(10.0)
    )
    assert times == dict(a=[1.0, 1.0])
    assert now == [33.0]


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), 'malloc_trim'), reason='not the GNU C library'
)
def test_free_memory_goes_back_to_the_system():
    def resident():
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        return pages * resource.getpagesize()

    # Blocks below the size from where on each gets pages of its own.
    blocks = [torch.ones(2**14) for _ in range(1000)]
    last = torch.ones(2**14)
    del blocks
    before = resident()
    side_by_side.return_memory()
    assert before - resident() > 32 * 2**20
    assert last.sum() == 2**14


@pytest.mark.parametrize(
    ('again', 'holds'), [([1.02, 1.02], True), ([1.1, 1.0], False), ([0.9, 1], False)]
)
def test_control(again, holds, capsys):
    assert side_by_side.control_holds(dict(a=[1.0, 1.0], b=again), 'a', 'b') == holds
    assert ('REJECTED' in capsys.readouterr().out) != holds


def test_table_names_every_alternative(capsys):
    side_by_side.print_table(dict(one=[0.001, 0.003], two=[0.004, 0.003]), 'one')
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].split() == ['one', '1.0', '2.0', '1.000', '1.000']
    assert rows[2].split() == ['two', '3.0', '3.5', '3.000', '2.500']


def test_machine_is_described():
    assert 'load average' in side_by_side.describe_machine()
