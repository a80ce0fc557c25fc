"""The units of work of a conversion; each makes files from one file of the source."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from s5_mm.io.images.fill import pad
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_image
from s5_mm.utils.ignore import IGNORE

from .archive import SourceError, SourceFile
from .colours import ColourTable
from .open_image import OpenImage
from .tiles import Tile

Made = Iterator[tuple[str, bytes]]
"""Pairs of a path relative to the destination and the bytes of that file."""


class ConversionJob(Protocol):
    """One unit of work; picklable.

    Attributes:
        name: What it works on, for messages.
        outputs: Files it makes, relative to the destination, with ``/``.
    """

    @property
    def name(self) -> str:
        """What it works on, for messages."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Files it makes, relative to the destination, with ``/``."""

    def make(self, wanted: Collection[str], scratch: Path) -> Made:
        """Make files.

        Args:
            wanted: Those of the outputs that are not there yet.
            scratch: Folder for temporary files.

        Yields:
            Paths and bytes of the wanted files.

        Raises:
            ValueError: If the source cannot be used; the message names the file.
        """


@dataclass(frozen=True)
class OneFile:
    """Makes one file of another.

    Attributes:
        source: The file.
        output: Where the new one goes.
    """

    source: SourceFile
    output: str

    @property
    def name(self) -> str:
        """What it works on."""
        return self.source.name

    @property
    def outputs(self) -> tuple[str, ...]:
        """The file it makes."""
        return (self.output,)


@dataclass(frozen=True)
class CopyFile(OneFile):
    """Takes a file over as it is."""

    def make(self, wanted: Collection[str], scratch: Path) -> Made:
        """See :class:`ConversionJob`."""
        yield self.output, self.source.read()


@dataclass(frozen=True)
class ReencodeImage(OneFile):
    """Stores an 8-bit RGB image in the format that the suffix of ``output`` names.

    The format is lossless, and metadata stay behind.
    """

    def make(self, wanted: Collection[str], scratch: Path) -> Made:
        """See :class:`ConversionJob`."""
        pixels = load(self.source, scratch, read_image)
        yield self.output, encode(pixels, os.path.splitext(self.output)[1])


@dataclass(frozen=True)
class CutTiles:
    """Cuts an image, and its mask in colours, into PNG tiles of one size.

    Beyond the image a tile has ``fill``, its mask 255.  Alpha is dropped and grey
    repeated, as OpenCV does it.

    Attributes:
        image: The image, 8 bits a sample.
        tiles: Where the tiles lie.
        image_dir: Folder of the image tiles, relative to the destination.
        mask: The mask, or None for images without.
        mask_dir: Folder of the mask tiles.
        colours: What the colours of the mask mean; None if there is no mask.
        fill: Red, green and blue beyond the image.
    """

    image: SourceFile
    tiles: tuple[Tile, ...]
    image_dir: str
    mask: SourceFile | None = None
    mask_dir: str = ''
    colours: ColourTable | None = None
    fill: tuple[int, int, int] = (0, 0, 0)

    @property
    def name(self) -> str:
        """What it works on."""
        return self.image.name

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files it makes."""
        folders = [self.image_dir] + [self.mask_dir] * (self.mask is not None)
        return tuple(f'{f}/{tile.name}.png' for tile in self.tiles for f in folders)

    def make(self, wanted: Collection[str], scratch: Path) -> Made:
        """See :class:`ConversionJob`."""
        with ExitStack() as stack:
            image = self._open(stack, self.image, scratch)
            source, colours = self.mask, self.colours
            mask = None if source is None else self._open(stack, source, scratch)
            if source is not None and mask is not None and mask.size != image.size:
                raise SourceError(
                    f'{source.name}: {mask.size[0]}x{mask.size[1]} px, expected '
                    f'{image.size[0]}x{image.size[1]} as its image {self.image.name}'
                )
            # From the top down, as the rows are decoded.
            for tile in sorted(self.tiles, key=lambda tile: (tile.y, tile.x)):
                path = f'{self.image_dir}/{tile.name}.png'
                if path in wanted:
                    yield path, encode(image.cut(tile, self.fill), '.png')
                path = f'{self.mask_dir}/{tile.name}.png'
                if mask is None or colours is None or source is None:
                    continue
                if path in wanted:
                    ids = colours.apply(mask.cut(tile, None), source.name)
                    ids = pad(ids, tile.size, IGNORE)
                    yield path, encode(ids, '.png')

    @staticmethod
    def _open(stack: ExitStack, source: SourceFile, scratch: Path) -> OpenImage:
        """Open an image until the stack is closed."""
        path = stack.enter_context(source.on_disk(scratch))
        return stack.enter_context(OpenImage(path, source.name))


def load(
    source: SourceFile, scratch: Path, read: Callable[[str], np.ndarray]
) -> np.ndarray:
    """Decode a file of the source.

    Args:
        source: The file.
        scratch: Folder for temporary files.
        read: Reads a path.

    Returns:
        What ``read`` returns.

    Raises:
        SourceError: If it cannot be decoded; named as in the source.
    """
    with source.on_disk(scratch) as path:
        try:
            return read(path)
        except ImageError as error:
            raise SourceError(f'{source.name}: {error.reason}') from error


def encode(pixels: np.ndarray, suffix: str) -> bytes:
    """Encode an image without loss.

    Args:
        pixels: uint8, shape (H, W) or (H, W, 3) in RGB.
        suffix: ``'.png'`` or ``'.tif'``.

    Returns:
        The bytes of the file, the same ones each time.
    """
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]
    return cv2.imencode(suffix, np.ascontiguousarray(pixels))[1].tobytes()
