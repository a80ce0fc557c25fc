"""What the commands under tools/ and data_curation/ share: config, refusals, screen.

Importing it keeps two messages of the hosts off the screen that concern no user:
"Could not import OneDL" of mmseg, and mmcv's of an operator that no model here has.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import mmengine.logging as _logging

_print_log = _logging.print_log


def _print_log_by_level(
    msg: Any, logger: Any = None, level: int = logging.INFO
) -> None:
    """Do what ``print_log`` does, which prints without a logger whatever the level."""
    if logger is not None or level > logging.DEBUG:
        _print_log(msg, logger, level)


# mmseg takes it from here when it fails to import OneDL (mmengine 0.10.12).
_logging.print_log = _print_log_by_level
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
