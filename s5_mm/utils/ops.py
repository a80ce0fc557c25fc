"""The compiled ops of mmcv, and the warnings of the hosts that detection meets."""

from __future__ import annotations

import importlib
import warnings


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


def quiet_hosts() -> None:
    """Keep warnings about the hosts' own code from the user's screen.

    ``torch.meshgrid`` without ``indexing`` (mmdet, mmrotate), and mmrotate's boxes,
    which warn that they are not clipped wherever mmdet clips boxes.
    """
    for message in ('torch.meshgrid', 'The `clip` function does nothing'):
        warnings.filterwarnings('ignore', message=message)
