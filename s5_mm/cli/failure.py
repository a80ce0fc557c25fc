"""Where an exception was raised first, and what it says there."""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import NamedTuple

from .command import one_line

_PACKAGE = Path(__file__).resolve().parents[1]
_OWN = tuple(
    f'{folder}{os.sep}'
    for folder in (
        _PACKAGE,
        *(_PACKAGE.parent / part for part in ('tools', 'data_curation')),
    )
)
_CODE_LINE = re.compile(r'^ *File "([^"]+)", line \d+, in .*\n(?: +(.*))?', re.M)


class Failure(NamedTuple):
    """An exception, as it was where it was raised.

    Attributes:
        kind: Name of its class.
        text: Its message, in one line.
        file: Source file that raised it, '' if unknown.
        line: Line of that file.
    """

    kind: str
    text: str
    file: str
    line: str

    @property
    def deliberate(self) -> bool:
        """Whether a ``raise`` of this package wrote the message."""
        return self.file.startswith(_OWN) and self.line.startswith('raise')


def failure(error: BaseException) -> Failure:
    """Find where an exception was raised first, in a worker process for example.

    Args:
        error: The exception.

    Returns:
        What is known of it.
    """
    remote = getattr(error.__cause__, 'tb', None)  # of a process pool
    text = _message(error)
    if isinstance(remote, str):
        return Failure(type(error).__name__, one_line(text), *_last_line(remote))
    worker = re.match(r'Caught (\w+) in .*\nOriginal Traceback', text)
    if worker:  # of a data loader
        kind = worker.group(1)
        starts = list(re.finditer(rf'^(?:\w+\.)*{kind}(?:: |$)', text, re.M))
        message = text[starts[-1].end() :] if starts else ''
        if kind == 'KeyError':
            message = message.strip('\'"')
        return Failure(kind, one_line(message), *_last_line(text))
    frames = list(frames_of(error.__traceback__))
    if not frames:
        return Failure(type(error).__name__, one_line(text), '', '')
    frame, line = frames[-1]
    file = frame.f_code.co_filename
    return Failure(
        type(error).__name__,
        one_line(text),
        os.path.realpath(file),
        linecache.getline(file, line).strip(),
    )


def _message(error: BaseException) -> str:
    """Message of an exception; a ``KeyError`` puts its own into quotes."""
    if isinstance(error, KeyError) and len(error.args) == 1:
        key = error.args[0]
        return key if isinstance(key, str) and ' ' in key else repr(key)
    return str(error)


def _last_line(text: str) -> tuple[str, str]:
    """File and source line of the last entry of a traceback."""
    found = _CODE_LINE.findall(text)
    return (os.path.realpath(found[-1][0]), found[-1][1].strip()) if found else ('', '')


def frames_of(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of a traceback and their lines, the outermost first.

    Args:
        trace: The traceback.
    """
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
