"""The benchmark reads the same crops from files and from shards."""

import re

from .side_by_side_tools import load_tool


def test_reads_from_both(capsys, monkeypatch):
    arguments = ['--members', '1500', '--crops', '3', '--reads', '4']
    monkeypatch.setattr('sys.argv', ['x', *arguments])
    load_tool('benchmark_shards').main()
    out = capsys.readouterr().out
    assert 'index    1500 members in 3 shards open in' in out
    for name in ('files', 'shards'):
        for what in ('bytes', 'images'):
            assert re.search(rf'{name} +\d+ random reads/s of {what}', out)
