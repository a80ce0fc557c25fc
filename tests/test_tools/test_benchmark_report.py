"""The benchmark makes a manifest of the asked size and reports on it."""

import json

from .side_by_side_tools import load_tool


def test_prints_time_and_memory(capsys, monkeypatch, tmp_path):
    arguments = ['--crops', '3000', '--clusters', '3', '--out', str(tmp_path)]
    monkeypatch.setattr('sys.argv', ['x', *arguments])
    load_tool('benchmark_report').main()
    out = capsys.readouterr().out
    assert 'manifest of 3,000 crops, 3 clusters' in out
    assert 'largest memory' in out
    numbers = json.loads((tmp_path / 'report.json').read_text())
    assert numbers['overview']['planned'] == 3000
    assert numbers['problems'] == []
