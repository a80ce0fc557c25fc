"""Both sides of the benchmark of operators compute the same loss."""

import re

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

from tools.benchmarks import benchmark_operators as tool  # noqa: E402

from ..support.mmcv_ops import needs_compiled  # noqa: E402
from ..test_end_to_end.boxes import config  # noqa: E402


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / 'toy.py'
    config(dict(a=tmp_path), tmp_path / 'run', 1).dump(path)
    return ['--config', str(path), '--img-size', '128', '--boxes', '5', '--rounds', '1']


@needs_compiled
def test_prints_both_with_their_spread(toy, capsys):
    assert tool.main(toy) in (0, 3)  # the times of one round may differ
    out = capsys.readouterr().out
    losses = re.findall(r'([\d.]+) with', out)
    assert len(losses) == 2
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-5)
    for name in (tool.TORCH, tool.AGAIN, tool.COMPILED):
        assert re.search(rf'^{name}: [\d.]+ to [\d.]+ s$', out, re.M)


def test_without_compiled_operators_there_is_nothing_to_compare(
    toy, capsys, monkeypatch
):
    monkeypatch.setattr(tool, 'is_compiled', lambda: False)
    with pytest.raises(SystemExit) as stop:
        tool.main(toy)
    assert stop.value.code == 2
    assert 'no compiled operators to compare with: make ops' in capsys.readouterr().err
