"""The start of the commands that mend an environment, which may lack the package.

``s5_mm/cli/command.py`` needs the standard library alone, but importing it as a part of
the package imports mmengine.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_HERE = Path(__file__).resolve()
# Of a checkout; of a wheel, where tools/ is in s5_mm/.mim.
_PLACES = (_HERE.parents[2] / 's5_mm', _HERE.parents[3])
_SPEC = importlib.util.spec_from_file_location(
    '_s5_mm_command',
    next(
        file
        for file in (place / 'cli' / 'command.py' for place in _PLACES)
        if file.is_file()
    ),
)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)

CommandParser = _MODULE.CommandParser
start_command = _MODULE.start_command
