"""Load benchmark commands as modules, with the one that they share."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

_FOLDER = str(Path(__file__).parents[2] / 'tools/analysis_tools')


def load_tool(name: str) -> ModuleType:
    """Import a command of ``tools/analysis_tools``."""
    if _FOLDER not in sys.path:
        sys.path.append(_FOLDER)
    return import_module(name)


SIDE_BY_SIDE = load_tool('side_by_side')
