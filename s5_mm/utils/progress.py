"""How far a long command is, on the screen of who runs it."""

from __future__ import annotations

import sys
import time


class ProgressLine:
    """A line that is written over: what is done, the speed, the time that is left.

    Args:
        stage: What is done.
        unit: What is counted.
    """

    def __init__(self, stage: str, unit: str) -> None:
        self.stage, self.unit = stage, unit
        self._start = self._last = time.time()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is, once a second and at the end.

        Args:
            done: Items done, those of earlier runs included.
            total: Items in all.
        """
        now = time.time()
        if self._first is None:
            # What an earlier run has done says nothing about the speed of this one.
            self._first = max(done - 1, 0)
        if now - self._last < 1 and done < total:
            return
        self._last = now
        speed = (done - self._first) / max(now - self._start, 1e-9)
        left = f'ETA {duration((total - done) / speed)}' if done < total else ''
        end = '\n' if done >= total else ''
        sys.stderr.write(
            f'\r{self.stage}: {done:,}/{total:,} {self.unit}, {speed:,.1f}/s '
            f'{left}   {end}'
        )
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Write a time as ``42 s``, ``3 min`` or ``2 h 05 min``."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return (
        f'{minutes} min' if minutes < 100 else f'{minutes // 60} h {minutes % 60} min'
    )
