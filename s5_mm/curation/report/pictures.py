"""Small pictures of crops; a crop whose source is gone gets a placeholder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.rows import open_rows, read_image_header
from s5_mm.visualization.drawing import INK, hatch, shrink

from ..planning.crops import read_crops

TILE = 144
_BAND = 512


class Picture(NamedTuple):
    """A small picture.

    Attributes:
        pixels: uint8, (h, w, 3), RGB, the longer side of 144 px.
        problem: Why it is a placeholder; '' if it is not.
    """

    pixels: np.ndarray
    problem: str = ''


def crop_pictures(
    crops: Mapping[int, Mapping[str, Any]], roots: Mapping[str, str], size: int
) -> dict[int, Picture]:
    """Read the pictures of crops.

    Args:
        crops: By number of the row: ``collection``, ``path``, ``x``, ``y``, ``width``,
            ``height``.
        roots: Root of every collection.
        size: Side of the crops in pixels.

    Returns:
        By number of the row the picture; a crop that cannot be read never raises.
    """
    sources: dict[tuple[str, str], list[int]] = {}
    for row, crop in crops.items():
        sources.setdefault((crop['collection'], crop['path']), []).append(row)
    pictures = {}
    for (collection, path), rows in sorted(sources.items()):
        rows.sort(key=lambda row: (crops[row]['y'], crops[row]['x'], row))
        keys = ('x', 'y', 'width', 'height')
        windows = np.array([[crops[row][key] for key in keys] for row in rows])
        problem = ''
        try:
            full = os.path.join(roots[collection], path)
            read = read_crops(full, windows, size)
            for row, pixels in zip(rows, read, strict=False):
                pictures[row] = Picture(shrink(pixels, TILE))
        except (ImageError, OSError, ValueError, cv2.error) as error:
            problem = getattr(error, 'reason', None) or str(error)
        for row in rows:
            if row not in pictures:
                pictures[row] = placeholder(problem)
    return pictures


def image_picture(path: str) -> Picture:
    """Read a whole image in bands, however large it is.

    Args:
        path: The file.

    Returns:
        Its picture, or a placeholder.
    """
    try:
        header = read_image_header(path)
        scale = TILE / max(header.width, header.height)
        width = max(round(header.width * scale), 1)
        rows, bands = open_rows(path), []
        try:
            for top in range(0, header.height, _BAND):
                band = rows.read(top, top + _BAND)
                height = max(round(len(band) * scale), 1)
                bands.append(
                    cv2.resize(band, (width, height), interpolation=cv2.INTER_AREA)
                )
        finally:
            rows.close()
    except (ImageError, OSError, ValueError, cv2.error) as error:
        return placeholder(getattr(error, 'reason', None) or str(error))
    return Picture(shrink(np.concatenate(bands), TILE))


def placeholder(problem: str) -> Picture:
    """Draw what stands for a picture that cannot be read.

    Args:
        problem: Why.
    """
    pixels = np.full((TILE, TILE, 3), 230, np.uint8)
    pixels = hatch(pixels, np.ones((TILE, TILE), bool))
    cv2.line(pixels, (40, 40), (TILE - 41, TILE - 41), INK, 2, cv2.LINE_AA)
    cv2.line(pixels, (40, TILE - 41), (TILE - 41, 40), INK, 2, cv2.LINE_AA)
    return Picture(pixels, problem or 'cannot be read')
