"""The benchmark compares equal things and rejects what it cannot trust."""

import pytest
import torch

from tools.benchmarks import benchmark_backbone, side_by_side

pytest.importorskip('timm')


SMALL = ['--arch', 't', '--img-size', '64', '--rounds', '2']


@pytest.fixture(autouse=True)
def _restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('mode', [[], ['--train']])
def test_prints_every_model_with_its_ratio(capsys, mode, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', 100.0)
    assert benchmark_backbone.main(SMALL + mode) == 0
    out = capsys.readouterr().out
    for word in ('timm', 'mmseg', 'ours again (A/A)', 'no oneDNN', 'load average'):
        assert word in out
    assert '16 tokens, 2 rounds' in out
    assert torch.__config__.show() in out


def test_a_failed_control_rejects_the_measurement(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', -1.0)
    assert benchmark_backbone.main(SMALL) == 3
    assert 'REJECTED: the A/A control is' in capsys.readouterr().out


def test_different_outputs_are_refused():
    taps = [torch.zeros(2)]
    assert benchmark_backbone.check_equal(taps, [torch.full((2,), 1e-6)], 'x') < 1e-4
    with pytest.raises(SystemExit, match='timm: taps differ by 1.00e-01'):
        benchmark_backbone.check_equal(taps, [torch.full((2,), 0.1)], 'timm')


def test_training_measures_the_gradient_too():
    weight = torch.ones(1, requires_grad=True)
    benchmark_backbone.step(lambda x: [x * weight], torch.ones(1), train=True)
    assert weight.grad is not None
