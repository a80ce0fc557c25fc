"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed (``preexec_fn``)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def command_environment(root: Path) -> dict[str, str]:
    """Return the environment of a command of this repository.

    Args:
        root: Root of the repository, which the command imports the package from.

    Returns:
        The variables of this process, with unbuffered output.
    """
    return {
        **os.environ,
        'PYTHONUNBUFFERED': '1',
        # Threads that spin while they wait are slow when other work runs.
        'OMP_WAIT_POLICY': 'PASSIVE',
        'PYTHONPATH': os.pathsep.join(
            [str(root), *filter(None, [os.environ.get('PYTHONPATH')])]
        ),
    }
