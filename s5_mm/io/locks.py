"""Locks on files that end with the process that took them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_held: set[int] = set()


@contextmanager
def file_lock(file: IO) -> Iterator[None]:
    """Lock an open file against other processes, without waiting.

    Processes that are forked meanwhile do not keep the lock: with ``flock`` alone the
    workers of a run that was killed hold it until they notice, and the run that takes
    over finds it taken.

    Args:
        file: The open file; closing it ends the lock.

    Yields:
        While the lock is held.

    Raises:
        OSError: Another process has it.
    """
    import fcntl  # of POSIX alone

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _held.add(file.fileno())
    try:
        yield
    finally:
        _held.discard(file.fileno())


def _let_go() -> None:
    """Put something else in the place of the files, in a child."""
    for number in _held:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, number, inheritable=False)
        os.close(nothing)
    _held.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_let_go)
