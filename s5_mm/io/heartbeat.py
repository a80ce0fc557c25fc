"""Signs of life of work that prints nothing for a while."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .progress import duration


def to_stderr(text: str) -> None:
    """Write a line to stderr at once."""
    sys.stderr.write(f'{text}\n')
    sys.stderr.flush()


@dataclass
class Heartbeat:
    """Writes a line when nothing else was shown for a while.

    Attributes:
        every: Longest silence in seconds.
        write: Takes the line.
        last: When something was shown, by ``time.monotonic``.
    """

    every: float = 15.0
    write: Callable[[str], None] = to_stderr
    last: float = field(default_factory=time.monotonic)

    def seen(self) -> None:
        """Note that something was shown."""
        self.last = time.monotonic()

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Watch over work, for as long as the block lasts.

        Args:
            what: Name of the work, the line's first word.
        """
        self.seen()
        stop = threading.Event()
        arguments = what, self.last, stop
        thread = threading.Thread(target=self._beat, args=arguments, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _beat(self, what: str, start: float, stop: threading.Event) -> None:
        """Write lines until the work ends."""
        while not stop.wait(max(self.last + self.every - time.monotonic(), 0.01)):
            now = time.monotonic()
            if now - self.last >= self.every:
                self.write(f'{what}: at work for {duration(now - start)}')
                self.last = now
