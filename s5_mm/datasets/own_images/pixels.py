"""Read what the masks and the images of a folder hold."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from s5_mm.io.atomic import write_bytes
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.layout import check_colours
from s5_mm.io.images.read import read_header, read_image, read_mask
from s5_mm.io.progress import Progress
from s5_mm.utils.ignore import IGNORE

from ..conversion.colours import ColourTable

Colour = tuple[int, int, int]

_MAX_COLOURS = 256


class MaskPixels(NamedTuple):
    """What one pair holds.

    Attributes:
        size: (width, height) of the image and of its mask in pixels.
        counts: Pixels by stored value, or by colour (R, G, B) of a mask in colours.
        notes: What is left out of the image or made up: ``'alpha'``, ``'grey'``.
    """

    size: tuple[int, int]
    counts: Counter
    notes: frozenset[str]


def read_pixels(
    files: Sequence[tuple[str, str]], progress: Progress | None = None
) -> list[MaskPixels]:
    """Read every mask and the header of every image.

    Args:
        files: Paths of images and of their masks.
        progress: Called with the number of pairs read and of all.

    Returns:
        What each pair holds.

    Raises:
        ImageError: If a file cannot be used, or a mask has another size than its image.
        ValueError: If some masks are in colours and some hold ids.
    """
    found = []
    for done, (image, mask) in enumerate(files, 1):
        found.append(_pair(image, mask))
        if isinstance(next(iter(found[0].counts)), tuple) != isinstance(
            next(iter(found[-1].counts)), tuple
        ):
            raise ValueError(
                f'{mask} and {files[0][1]}: one is in colours and one holds class ids; '
                'expected masks of one kind'
            )
        if progress is not None:
            progress(done, len(files))
    return found


def _pair(image: str, mask: str) -> MaskPixels:
    """Read one pair."""
    header = read_header(image)
    check_colours(header, image, 'drop', 'repeat')
    notes = {'alpha'} if header.alpha else set()
    if header.channels - header.alpha == 1:
        notes.add('grey')
    counts: Counter = Counter()
    layout = read_header(mask)
    if layout.channels >= 3 and layout.format != 'JPEG':
        pixels = read_image(mask, 'drop')
        codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
            counts[(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255)] = int(
                count
            )
        if len(counts) > _MAX_COLOURS:
            raise ImageError(
                mask,
                f'{len(counts)} colours, which are no classes: is it a photograph, or '
                'was the mask scaled, or a JPEG once? expected one colour a class',
            )
    else:
        pixels = read_mask(mask)
        histogram = np.bincount(pixels.ravel(), minlength=256)
        counts.update({int(v): int(histogram[v]) for v in np.flatnonzero(histogram)})
    height, width = pixels.shape[:2]
    if (width, height) != (header.width, header.height):
        raise ImageError(
            mask,
            f'mask of {width}x{height} px, its image {image} has '
            f'{header.width}x{header.height} px',
        )
    return MaskPixels((width, height), counts, frozenset(notes))


def image_statistics(
    paths: Iterable[str], progress: Progress | None = None
) -> tuple[list[float], list[float]]:
    """Compute mean and standard deviation of images, over all pixels, in one pass.

    Args:
        paths: The images.
        progress: Called with the number of images read and of all.

    Returns:
        Mean and standard deviation of red, green and blue in [0, 255], rounded to 0.01.

    Raises:
        ImageError: If an image cannot be decoded.
    """
    paths = list(paths)
    total = np.zeros((3, 256), np.int64)
    for done, path in enumerate(paths, 1):
        channels = read_image(path, 'drop', 'repeat').reshape(-1, 3).T
        total += np.stack([np.bincount(c, minlength=256) for c in channels])
        if progress is not None:
            progress(done, len(paths))
    levels, count = np.arange(256), total.sum(axis=1)
    mean = total @ levels / count
    variance = total @ levels**2 / count - mean**2
    # Images of one value would be divided by zero.
    std = np.sqrt(np.maximum(variance, 1.0))
    return mean.round(2).tolist(), std.round(2).tolist()


def convert_masks(
    masks: Sequence[str],
    folder: str,
    target: Path,
    colours: Sequence[Colour],
    ignored: Sequence[Colour] = (),
    progress: Progress | None = None,
) -> None:
    """Write masks in colours as masks of class ids.

    Args:
        masks: The masks, below ``folder``.
        folder: The folder that they are in.
        target: Folder of the new ones, PNG files under the same names.
        colours: Colour of each class.
        ignored: Colours that become 255.
        progress: Called with the number of masks written and of all.

    Raises:
        ImageError: If a mask cannot be read.
        SourceError: If a mask holds a colour that is not listed.
        OSError: If one cannot be written.
    """
    table = ColourTable((*colours, *ignored))
    for done, mask in enumerate(masks, 1):
        ids = table.apply(read_image(mask, 'drop'), mask)
        ids[ids >= len(colours)] = IGNORE
        below = os.path.splitext(os.path.relpath(mask, folder))[0]
        write_bytes(target / f'{below}.png', cv2.imencode('.png', ids)[1].tobytes())
        if progress is not None:
            progress(done, len(masks))
