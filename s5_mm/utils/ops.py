"""The compiled ops of mmcv, which oriented detection cannot do without."""

from __future__ import annotations

import importlib


class OpsMissingError(ImportError):
    """mmcv is installed without compiled ops."""


def require_ops() -> None:
    """Stop where detection is asked for and mmcv has no compiled ops.

    The hosts then fail with ``No module named 'mmcv._ext'``, or while they build a
    layer, and say nothing about the remedy.

    Raises:
        OpsMissingError: With the line that builds them.
    """
    try:
        importlib.import_module('mmcv._ext')
    except ImportError as error:
        raise OpsMissingError(
            'oriented detection needs the compiled ops of mmcv, which this environment '
            f'lacks ({error}). Build them once: make ops (or: python '
            'tools/misc/build_ops.py). Segmentation runs without them.'
        ) from None
