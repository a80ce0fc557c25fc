"""The benchmark of selections compares equal sets and says so if they are not."""

import argparse

import numpy as np
import pytest

from tools.benchmarks import benchmark_selection as tool


@pytest.mark.parametrize('strategy', ['s5', 'random'])
def test_prints_every_way(capsys, strategy):
    small = ['--rows', '5000', '--rounds', '1', '--strategy', strategy]
    assert tool.main(small) == 0
    out = capsys.readouterr().out
    for line in tool.WAYS.values():
        assert line in out
    assert '1 set(s), of 500 crops' in out


def test_other_sets_are_refused(capsys, monkeypatch):
    found = iter('ab')
    monkeypatch.setattr(
        tool,
        'run',
        lambda *_: dict(seconds=1, peak=1, count=5, set=next(found)),
    )
    assert tool.main(['--rows', '50', '--rounds', '1', '--ways', 'select', 'sort']) == 3
    assert '2 set(s), of 5 crops' in capsys.readouterr().out


def test_a_failed_process_ends_the_run():
    with pytest.raises(SystemExit, match='best has no control'):
        tool.main(['--rows', '50', '--policy', 'best', '--ways', 'sort'])


def test_draws_do_not_depend_on_batches(monkeypatch):
    monkeypatch.setattr(tool, '_BATCH', 700)
    args = argparse.Namespace(rows=1000, clusters=9, ties=True)
    whole = tool.draw(0, 1000, 9, True)
    for column, batched in zip(whole, tool.whole(args), strict=True):
        np.testing.assert_array_equal(column, batched)
    assert np.bincount(whole.cluster, minlength=9).min() > 0
    assert 200 < (whole.entropy == 0).sum() < 300
    assert 0 < (~whole.eligible).sum() < 40
