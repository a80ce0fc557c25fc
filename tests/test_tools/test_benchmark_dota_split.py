"""The benchmark runs both splitters on the same images."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')
pytest.importorskip('shapely', reason='mmdet installs it')

from .side_by_side_tools import load_tool  # noqa: E402


def test_times_ours_and_the_hosts(capsys, monkeypatch):
    arguments = ['--images', '1', '--side', '1200', '--rounds', '1', '--jobs', '1']
    monkeypatch.setattr('sys.argv', ['x', *arguments])
    load_tool('benchmark_dota_split').main()
    out = capsys.readouterr().out
    assert '1 images of 1200 px, 4 patches' in out
    for name in ('ours, 1', 'ours again, 1', 'ours, verify, 1', "mmrotate's, 1"):
        assert name in out
