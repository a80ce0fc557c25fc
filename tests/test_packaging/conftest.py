"""Helpers of the packaging tests: the commands of ``tools/misc`` as modules."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools' / 'misc'))


@pytest.fixture(scope='session')
def built_wheel(tmp_path_factory):
    """The wheel of this checkout, built once, without network."""
    import check_wheel

    return check_wheel.build_wheel(tmp_path_factory.mktemp('wheel'))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of compiled ops."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 's5_mm' / 'wheels'
