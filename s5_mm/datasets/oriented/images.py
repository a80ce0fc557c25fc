"""Images found by the name of their annotation, whatever their suffix."""

from __future__ import annotations

import os
from collections.abc import Sequence

from s5_mm.io.images.header import ImageError, image_format, parse_header
from s5_mm.io.images.read import read_header
from s5_mm.io.path_table import IMAGE_SUFFIXES, PathTable

ORIENTED_SUFFIXES = (*IMAGE_SUFFIXES, '.bmp')
"""Endings of the files that count as images, compared without case."""

# The frame header of a JPEG comes after its EXIF block, of 64 KiB at most.
_HEAD = 1 << 17


class ImageFolder:
    """The images of a folder, by their names without suffix.

    Args:
        folder: The folder; sub-folders are part of the names.
        suffixes: Endings that count.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no image.
    """

    def __init__(
        self, folder: str, suffixes: Sequence[str] = ORIENTED_SUFFIXES
    ) -> None:
        self.folder, self.suffixes = folder, tuple(suffixes)
        table = PathTable.from_folder(folder, self.suffixes)
        self._names: dict[str, list[str]] = {}
        for row in range(len(table)):
            name = table.name(row)
            self._names.setdefault(os.path.splitext(name)[0], []).append(name)

    @property
    def stems(self) -> list[str]:
        """Names without suffix, sorted."""
        return sorted(self._names)

    def path(self, stem: str, wanted_by: str | None = None) -> str:
        """Find an image.

        Args:
            stem: Its name without suffix.
            wanted_by: File that asks for it, for the message.

        Returns:
            Its path.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If several differ in the suffix alone.
        """
        names = self._names.get(stem, [])
        where = f'{wanted_by}: ' if wanted_by else ''
        if not names:
            raise FileNotFoundError(
                f'{where}there is no image {os.path.join(self.folder, stem)} with one '
                f'of the suffixes {", ".join(self.suffixes)}'
            )
        if len(names) > 1:
            raise ValueError(
                f'{where}{" and ".join(names)} of {self.folder} are images of one '
                'name, expected one; narrow img_suffix down'
            )
        return os.path.join(self.folder, names[0])


def image_shape(path: str) -> tuple[int, int]:
    """Read the size of an image from the first bytes of the file.

    Args:
        path: The file.

    Returns:
        Height and width in pixels.

    Raises:
        ImageError: If it is no image.
    """
    with open(path, 'rb') as file:
        head = file.read(_HEAD)
    header = None
    if image_format(head) in ('JPEG', 'PNG'):
        try:
            header = parse_header(head, path)
        except ImageError:
            if len(head) < _HEAD:
                raise
    header = header or read_header(path)
    return header.height, header.width
