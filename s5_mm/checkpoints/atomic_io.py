"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

_LEFTOVER = re.compile(r'\.tmp-\d+$')


def write_whole(
    path: str | os.PathLike[str],
    write: Callable[[BinaryIO], None],
    check: Callable[[str], None] | None = None,
) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one.

    The bytes go to a file beside the target, are forced to the disk, checked, and
    take the target's name in one step; then the directory is forced to the disk.

    Args:
        path: The file to write; its directory is made where missing.
        write: Called with the open binary file.
        check: Called with the name of the complete file before it takes its place;
            whatever it raises keeps the old file.

    Raises:
        OSError: The disk is full or failed; the old file is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'{path.name}.tmp-{os.getpid()}')
    try:
        with open(aside, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(str(aside))
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to a file as :func:`write_whole` does."""
    write_whole(path, partial(_put, data=data))


def _put(file: BinaryIO, data: bytes) -> None:
    """Write all of a file."""
    file.write(data)


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


def _sync_directory(directory: Path) -> None:
    """Force a rename in a directory to the disk."""
    if os.name != 'posix':  # directories cannot be opened elsewhere
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
