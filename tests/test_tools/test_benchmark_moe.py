"""The benchmark of FFN-MoE compares equal things and rejects what it cannot trust."""

import pytest
import torch

from tools.benchmarks import benchmark_moe as tool
from tools.benchmarks import side_by_side

SMALL = ['--arch', 't', '--img-size', '64', '--datasets', '2']
SMALL += ['--part-features', '64', '--rounds', '2']


@pytest.fixture(autouse=True)
def _restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_prints_ffn_and_step(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', 100.0)
    assert tool.main([*SMALL, '--step-rounds', '1']) == 0
    out = capsys.readouterr().out
    for line in (
        'FFN of ViT-T, forward, fp32, 2 data sets x 16 tokens, part_features 64',
        'FFN of ViT-T, forward + backward',
        'training step of MoE-MDF, ViT-T, fp32, 2 data sets x 2 images of 64 px',
        'one mixed batch',
        'load average',
    ):
        assert line in out


def test_a_failed_control_rejects_the_measurement(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', -1.0)
    assert tool.main([*SMALL, '--step-rounds', '0']) == 3
    assert 'REJECTED' in capsys.readouterr().out


def test_other_outputs_are_refused(monkeypatch):
    monkeypatch.setattr(tool.FFNMoE, 'load_state_dict', lambda self, state: None)
    with pytest.raises(SystemExit, match='FFN-MoE and the dense FFN differ by'):
        tool.ffn_runs(tool.parse_args(SMALL), train=False)
