"""The benchmark of scoring compares equal things and rejects what it cannot trust."""

import pytest
import torch

from .side_by_side_tools import SIDE_BY_SIDE, load_tool

TOOL = load_tool('benchmark_scoring')
SMALL = ['--arch', 't', '--img-size', '64', '--batch', '2', '--classes', '4']
SMALL += ['--clusters', '3', '--rounds', '2']


@pytest.fixture(autouse=True)
def _restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('mode', ['drop', 'renormalise', 'keep'])
def test_prints_passes_and_scores(mode, capsys, monkeypatch) -> None:
    monkeypatch.setattr(SIDE_BY_SIDE, 'AA_TOLERANCE', 100.0)
    assert TOOL.main([*SMALL, '--mode', mode]) == 0
    out = capsys.readouterr().out
    for line in (
        'ViT-T + UPerNet, 2 crops of 64 px, 4 classes, 3 prototypes, float32, cpu, ',
        'forward again (A/A)',
        'forward and scores',
        'scoring above the forward pass: ',
        'plain formulation alone',
        'of the forward pass',
        'load average',
    ):
        assert line in out


def test_a_failed_control_rejects_the_measurement(capsys, monkeypatch) -> None:
    monkeypatch.setattr(SIDE_BY_SIDE, 'AA_TOLERANCE', -1.0)
    assert TOOL.main(SMALL) == 3
    assert 'REJECTED' in capsys.readouterr().out


def test_other_results_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(
        TOOL, 'plain_entropy', lambda logits, *_: torch.zeros(len(logits))
    )
    with pytest.raises(SystemExit, match='the entropies .* formulations differ by'):
        TOOL.runs_of(TOOL.parse_args(SMALL))
