"""Archives of results that appear whole and have the same bytes each time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from s5_mm.io.atomic import atomic_open

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell


def write_archive(path: Path, files: Iterable[Path], compress: bool = False) -> None:
    """Put files into a flat zip, sorted by name and without times.

    Args:
        path: The zip; one that is there is replaced when the new one is whole.
        files: Files of different names.
        compress: Whether they are deflated.

    Raises:
        OSError: If a file cannot be read, or the zip not be written.
    """
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED

    with (
        atomic_open(path, _check) as opened,
        zipfile.ZipFile(opened, 'w', method) as archive,
    ):
        for file in sorted(files, key=lambda file: file.name):
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.create_system = 3  # the same bytes on every system
            entry.external_attr = 0o644 << 16
            entry.compress_type = method
            archive.writestr(entry, file.read_bytes())


def _check(path: str) -> None:
    """Read a complete archive back."""
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise OSError(f'{path}: {bad} was not written correctly')
