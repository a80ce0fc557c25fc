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
