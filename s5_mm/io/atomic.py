"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_LEFTOVER = re.compile(r'\.tmp-\d+$')


@contextmanager
def atomic_open(
    path: str | os.PathLike[str], check: Callable[[str], None] | None = None
) -> Iterator[BinaryIO]:
    """Open a file for writing so that a crash leaves the old one or the new one.

    The bytes go to a file next to the target, are forced to the disk, checked, and
    take the target's name in one step; then the directory is forced to the disk::

        with atomic_open(path) as file:
            file.write(data)

    Args:
        path: The file to write; its directory is made where missing.
        check: Called with the name of the complete file before it takes its place;
            whatever it raises keeps the old file.

    Yields:
        The open binary file.  Whatever the block raises keeps the old file.

    Raises:
        OSError: The disk is full or failed; the old file is untouched.
    """
    with atomic_path(path, check) as aside, open(aside, 'wb') as file:
        yield file


@contextmanager
def atomic_path(
    path: str | os.PathLike[str], check: Callable[[str], None] | None = None
) -> Iterator[Path]:
    """Write a file by its name, for libraries that take no open file.

    Args:
        path: See :func:`atomic_open`.
        check: See :func:`atomic_open`.

    Yields:
        The name to write to, beside the target.  The file takes the target's name when
        the block ends, and is removed where the block raises.

    Raises:
        OSError: The disk is full or failed; the old file is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'{path.name}.tmp-{os.getpid()}')
    try:
        yield aside
        _sync(aside, os.O_RDWR)
        if check is not None:
            check(str(aside))
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if os.name == 'posix':  # directories cannot be opened elsewhere
        _sync(path.parent, os.O_RDONLY)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a file as :func:`atomic_open` does."""
    with atomic_open(path) as file:
        file.write(data)


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file whole, its keys in order."""
    write_bytes(path, (json.dumps(values, indent=2, sort_keys=True) + '\n').encode())


def remove_leftovers(directory: str | os.PathLike[str]) -> list[str]:
    """Remove what writers that were killed left beside their targets.

    Args:
        directory: The directory the targets live in; may be missing.

    Returns:
        Names of the removed files.
    """
    if not os.path.isdir(directory):
        return []
    removed = []
    for entry in os.scandir(directory):
        if entry.is_file() and _LEFTOVER.search(entry.name):
            os.unlink(entry.path)
            removed.append(entry.name)
    return sorted(removed)


def _sync(path: Path, flags: int) -> None:
    """Force a file, or a rename in a directory, to the disk."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
