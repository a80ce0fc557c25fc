"""Timing side by side: rotating order, both ratios, a control that rejects."""

import pytest

from .side_by_side_tools import SIDE_BY_SIDE as TOOL


def test_ratios_are_of_minima_and_of_rounds():
    assert TOOL.ratios([1.0, 2.0, 4.0], [3.0, 2.0, 8.0]) == (2.0, 2.0)
    assert TOOL.ratios([1.0, 1.0, 1.0], [1.0, 3.0, 5.0]) == (1.0, 3.0)


def test_alternatives_are_interleaved_in_rotating_order():
    order, now = [], iter(range(100))
    runs = {name: lambda name=name: order.append(name) for name in ('a', 'b')}
    times = TOOL.measure(runs, rounds=2, clock=lambda: float(next(now)))
    assert order == ['a', 'b', 'b', 'a', 'a', 'b']
    assert times == dict(a=[1.0, 1.0], b=[1.0, 1.0])


@pytest.mark.parametrize(
    ('again', 'holds'), [([1.02, 1.02], True), ([1.1, 1.0], False), ([0.9, 1], False)]
)
def test_control(again, holds, capsys):
    assert TOOL.control_holds(dict(a=[1.0, 1.0], b=again), 'a', 'b') == holds
    assert ('REJECTED' in capsys.readouterr().out) != holds


def test_table_names_every_alternative(capsys):
    TOOL.print_table(dict(one=[0.001, 0.003], two=[0.004, 0.003]), 'one')
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].split() == ['one', '1.0', '2.0', '1.000', '1.000']
    assert rows[2].split() == ['two', '3.0', '3.5', '3.000', '2.500']


def test_machine_is_described():
    assert 'load average' in TOOL.describe_machine()
