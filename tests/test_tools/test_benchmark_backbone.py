"""The benchmark compares equal things and rejects what it cannot trust."""

from importlib import util
from pathlib import Path

import pytest
import torch

pytest.importorskip('timm')


def _tool():
    root = Path(__file__).parents[2]
    path = root / 'tools/analysis_tools/benchmark_backbone.py'
    spec = util.spec_from_file_location(path.stem, path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
SMALL = ['--arch', 't', '--img-size', '64', '--rounds', '2']


@pytest.fixture(autouse=True)
def _restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('mode', [[], ['--train']])
def test_prints_every_model_with_its_ratio(capsys, mode, monkeypatch):
    monkeypatch.setattr(TOOL, 'AA_TOLERANCE', 100.0)
    assert TOOL.main(SMALL + mode) == 0
    out = capsys.readouterr().out
    for word in ('timm', 'mmseg', 'ours again (A/A)', 'no oneDNN', 'load average'):
        assert word in out
    assert '16 tokens, 2 rounds' in out
    assert torch.__config__.show() in out


def test_a_failed_control_rejects_the_measurement(capsys, monkeypatch):
    monkeypatch.setattr(TOOL, 'AA_TOLERANCE', -1.0)
    assert TOOL.main(SMALL) == 3
    assert 'REJECTED: the A/A control is' in capsys.readouterr().out


def test_different_outputs_are_refused():
    taps = [torch.zeros(2)]
    assert TOOL.check_equal(taps, [torch.full((2,), 1e-6)], 'x') < 1e-4
    with pytest.raises(SystemExit, match='timm: taps differ by 1.00e-01'):
        TOOL.check_equal(taps, [torch.full((2,), 0.1)], 'timm')


def test_ratios_are_of_minima_and_of_rounds():
    assert TOOL.ratios([1.0, 2.0, 4.0], [3.0, 2.0, 8.0]) == (2.0, 2.0)
    assert TOOL.ratios([1.0, 1.0, 1.0], [1.0, 3.0, 5.0]) == (1.0, 3.0)


def test_models_are_interleaved_in_rotating_order():
    order = []
    image = torch.zeros(1)
    models = {
        name: lambda x, name=name: order.append(name) or [x] for name in ('a', 'b')
    }
    times = TOOL.measure(models, image, rounds=2, train=False)
    assert order == ['a', 'b', 'b', 'a', 'a', 'b']
    assert [len(seconds) for seconds in times.values()] == [2, 2]


def test_training_measures_the_gradient_too():
    weight = torch.ones(1, requires_grad=True)
    clock = TOOL.CLOCKS['cpu']
    TOOL.step(lambda x: [x * weight], torch.ones(1), train=True, clock=clock)
    assert weight.grad is not None
