"""Processes that find no compiled operators of mmcv, and a mark for what needs them."""

import os
from pathlib import Path

import pytest

from s5_mm.ops import is_compiled

needs_compiled = pytest.mark.skipif(
    not is_compiled(), reason='compares with the compiled operators of mmcv: make ops'
)

#: As if the file were not installed: the finders before ours know nothing of it.
HIDE = """\
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec


def hide(cls, name, path=None, target=None):
    return None if name == 'mmcv._ext' else find_spec(name, path, target)


PathFinder.find_spec = classmethod(hide)
"""


def environment_without(folder: Path) -> dict[str, str]:
    """Environment variables of a Python that finds no compiled operators.

    Args:
        folder: Where to put the module that Python imports when it starts.
    """
    (folder / 'sitecustomize.py').write_text(HIDE, encoding='utf-8')
    paths = [str(folder), os.environ.get('PYTHONPATH', '')]
    return {
        **os.environ,
        'PYTHONPATH': os.pathsep.join(filter(None, paths)),
        'OMP_NUM_THREADS': '1',
    }
