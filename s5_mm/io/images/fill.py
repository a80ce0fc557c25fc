"""Crops of images that are smaller than a crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

SmallPolicy = Literal['reflect', 'zero']
SMALL_POLICIES = ('reflect', 'zero')


def fill_up(pixels: np.ndarray, size: int, small: SmallPolicy) -> np.ndarray:
    """Bring the pixels of a window to the side of a crop.

    Args:
        pixels: uint8, (h, w, 3), at most ``size`` on a side.
        size: Side of the crop.
        small: What fills it: the image's mirror image, repeated, or zeros; the image
            stays in the upper left corner.

    Returns:
        uint8, (size, size, 3), a copy.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return np.ascontiguousarray(pixels)
    if small == 'reflect':
        # The edge pixel is not repeated; one row or column alone is.
        rows, columns = (_mirror(side, size) for side in (height, width))
        return np.ascontiguousarray(pixels[rows][:, columns])
    return pad(pixels, size, 0)


def pad(pixels: np.ndarray, size: int, fill: int | Sequence[int]) -> np.ndarray:
    """Fill an image up to a square, to the right and below.

    Args:
        pixels: uint8, shape (h, w) or (h, w, 3), at most ``size`` on a side.
        size: Side of the square in pixels.
        fill: Value, or red, green and blue.

    Returns:
        uint8, shape (size, size) or (size, size, 3).
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    padded = np.empty((size, size, *pixels.shape[2:]), np.uint8)
    padded[:] = fill
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded


def _mirror(side: int, size: int) -> np.ndarray:
    """Indices 0..side-1 that go forth and back until there are ``size``."""
    if side == 1:
        return np.zeros(size, np.intp)
    forth_and_back = np.arange(size) % (2 * side - 2)
    return np.minimum(forth_and_back, 2 * side - 2 - forth_and_back)
