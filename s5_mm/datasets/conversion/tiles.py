"""Tiles of one size, cut from images of any size."""

from __future__ import annotations

from math import ceil
from typing import Literal, NamedTuple

from s5_mm.io.images.windows import sliding_windows

Windows = Literal['shifted', 'repeated']
"""How windows are laid, see :func:`tile_windows`."""


class Tile(NamedTuple):
    """A square to be cut.

    Attributes:
        name: File name without suffix.
        x: First column in the image.
        y: First row in the image.
        size: Side in pixels; it may reach beyond the image.
    """

    name: str
    x: int
    y: int
    size: int


def tile_windows(
    width: int, height: int, size: int, stride: int, rule: Windows = 'shifted'
) -> list[tuple[int, int]]:
    """Lay windows over an image.

    Args:
        width: Columns of the image.
        height: Rows of the image.
        size: Side of the windows in pixels.
        stride: Distance of neighbouring windows in pixels.
        rule: ``'shifted'``: windows every ``stride`` pixels until the image ends, the
            last of a row or column moved back to end with it.  ``'repeated'``: a
            window at every multiple of ``stride`` inside the image, each moved back
            where it reaches beyond it; with half a window as stride the last one then
            comes twice.

    Returns:
        x and y of each, row by row.
    """
    if rule == 'shifted':
        windows = sliding_windows(width, height, [size], [size - stride])
        return [(int(x), int(y)) for x, y in windows[:, :2]]
    columns, rows = (
        [max(min(i * stride, length - size), 0) for i in range(ceil(length / stride))]
        for length in (width, height)
    )
    return [(x, y) for y in rows for x in columns]
