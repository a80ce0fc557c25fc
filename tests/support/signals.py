"""Signals as a terminal sends them, also where the tests run in the background."""

import signal


def listen_to_ctrl_c() -> None:
    """Undo the ``&`` of a shell, whose children ignore SIGINT; for ``preexec_fn``."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
