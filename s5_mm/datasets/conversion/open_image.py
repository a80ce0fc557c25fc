"""An image of the source that is cut from the top down, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from s5_mm.io.images.fill import pad
from s5_mm.io.images.header import ImageError, image_format, parse_header
from s5_mm.io.images.rows import open_rows, read_image_header

from .archive import SourceError, SourceFile
from .tiles import Tile

# Holds the header of nearly all files.
_HEAD = 2**16


class OpenImage:
    """An image whose rows are decoded once, within bounded memory; a context manager.

    Args:
        path: The file.
        name: How messages call it.

    Raises:
        SourceError: If it is damaged or cannot be taken as 8-bit RGB.
    """

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        with _named(name):
            header = read_image_header(path)
            self._rows = open_rows(path)
        self.size = header.width, header.height
        self._at = -1, -1
        self._held = np.empty((0, 0, 3), np.uint8)

    def __enter__(self) -> OpenImage:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def cut(self, tile: Tile, fill: Sequence[int] | None) -> np.ndarray:
        """Cut a square.

        Args:
            tile: The square, not above the last one.
            fill: Red, green and blue beyond the image; None: the square ends with it.

        Returns:
            uint8, shape (size, size, 3), RGB, or smaller without ``fill``.

        Raises:
            SourceError: If the image is damaged there.
        """
        rows = tile.y, tile.y + tile.size
        if rows != self._at:
            with _named(self.name):
                self._held = self._rows.read(*rows)
            self._at = rows
        pixels = self._held[:, tile.x : tile.x + tile.size]
        return pixels if fill is None else pad(pixels, tile.size, fill)


def image_size(source: SourceFile, scratch: Path) -> tuple[int, int]:
    """Read the size of an image, of which a head is enough most often.

    Args:
        source: The image.
        scratch: Folder for temporary files.

    Returns:
        Width and height in pixels.

    Raises:
        SourceError: If it is no image.
    """
    if source.member is not None:
        head = source.read(_HEAD)
        if image_format(head) in ('PNG', 'JPEG'):
            try:
                header = parse_header(head, source.name, None)
                return header.width, header.height
            except ImageError:
                pass  # a long preamble, or damage, which the whole file tells
    with source.on_disk(scratch) as path, _named(source.name):
        header = read_image_header(path, high_byte=True)
    return header.width, header.height


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name a file as the source does, not as its temporary copy."""
    try:
        yield
    except ImageError as error:
        raise SourceError(f'{name}: {error.reason}') from error
