"""How far a long command is, on the screen of who runs it or in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

#: Seconds between two lines, on a terminal and elsewhere.
_TERMINAL, _LOG = 1, 10


Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of all."""


class StatusLine:
    """A line on the standard error output that tells how things stand.

    On a terminal it is written over every second; a pipe or a file gets a new line
    every ten seconds and at the end.
    """

    def __init__(self) -> None:
        self._last = time.time()

    def due(self, last: bool = False) -> bool:
        """Whether it is time for another line.

        Args:
            last: This is the last one, which is always written.
        """
        now = time.time()
        wait = _TERMINAL if sys.stderr.isatty() else _LOG
        if now - self._last < wait and not last:
            return False
        self._last = now
        return True

    def write(self, text: str, last: bool = False) -> None:
        """Write the line.

        Args:
            text: The line.
            last: It is the last one.
        """
        if sys.stderr.isatty():
            # Blanks: the line that it covers may have been longer.
            text = f'\r{text}   ' + ('\n' if last else '')
        else:
            text += '\n'
        sys.stderr.write(text)
        sys.stderr.flush()

    def clear(self) -> None:
        """Make room for a line of something else."""
        if sys.stderr.isatty():
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()


class ProgressLine:
    """What is done, the speed, the time that is left, as a :class:`StatusLine`.

    Args:
        stage: What is done.
        unit: What is counted.
    """

    def __init__(self, stage: str, unit: str) -> None:
        self.stage, self.unit = stage, unit
        self._line, self._start = StatusLine(), time.time()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is, if it is time to, and at the end.

        Args:
            done: Items done, those of earlier runs included.
            total: Items in all.
        """
        if self._first is None:
            # What an earlier run has done says nothing about the speed of this one.
            self._first = max(done - 1, 0)
        last = done >= total
        if not self._line.due(last):
            return
        speed = (done - self._first) / max(time.time() - self._start, 1e-9)
        text = f'{self.stage}: {done:,}/{total:,} {self.unit}, {speed:,.1f}/s'
        if not last:
            text += f' ETA {duration((total - done) / speed)}'
        self._line.write(text, last)


def duration(seconds: float) -> str:
    """Write a time as ``42 s``, ``3 min`` or ``2 h 05 min``."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return (
        f'{minutes} min' if minutes < 100 else f'{minutes // 60} h {minutes % 60} min'
    )
