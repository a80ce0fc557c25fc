"""Colours of categories: classes in masks, curves and bars in charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

# The seven colours of Okabe and Ito, https://jfly.uni-koeln.de/color/, without black
# and in another order, and Paul Tol's wine: CIELAB distance 16 or more for every pair,
# also as seen with protanopia, deuteranopia and tritanopia.
_FIRST = (
    *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167)),
    *((213, 94, 0), (86, 180, 233), (240, 228, 66), (136, 34, 85)),
)
# Further colours are none of these: ink, paper and the grey of ignored pixels.
_TAKEN = ((0, 0, 0), (255, 255, 255), (182, 182, 182))
_LIGHTNESS = 25, 92
_STEP = 17


def categorical_palette(n: int) -> list[list[int]]:
    """Build a palette whose colours can be told apart.

    The first eight colours stay distinct in the three kinds of colour blindness; each
    further one is the colour farthest from all before it in CIELAB.  A longer palette
    starts with the shorter one.

    Args:
        n: Number of colours.

    Returns:
        RGB of each colour, 0-255.

    Raises:
        ValueError: If n is negative, or larger than the 3,000 or so colours there are.
    """
    if n < 0:
        raise ValueError(f'n is {n}; allowed is the number of colours, 0 or more')
    return [list(color) for color in (*_FIRST, *_further(n - len(_FIRST)))[:n]]


def palette_of(metainfo: Mapping[str, Any]) -> Sequence[Sequence[int]]:
    """Return the colours of a data set's classes.

    Args:
        metainfo: ``classes`` and, optionally, ``palette``.

    Returns:
        Its palette, or that of :func:`categorical_palette` where it has none.
    """
    palette = metainfo.get('palette')
    if palette is None or not len(palette):
        return categorical_palette(len(metainfo['classes']))
    return palette


def hex_palette(n: int) -> list[str]:
    """Build the colours of :func:`categorical_palette` as ``#rrggbb``."""
    return ['#{:02x}{:02x}{:02x}'.format(*color) for color in categorical_palette(n)]


def cielab(rgb: np.ndarray) -> np.ndarray:
    """Compute CIELAB coordinates (D65) of sRGB colours.

    Args:
        rgb: 0-255, any dtype, (..., 3).

    Returns:
        float64 (..., 3): lightness 0-100, a and b.
    """
    value = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = linear @ np.transpose(to_xyz) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def _further(n: int) -> tuple[tuple[int, ...], ...]:
    """Choose the colours after the first eight, farthest point first."""
    if n <= 0:
        return ()
    levels = np.arange(0, 256, _STEP)
    colors = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1)
    colors = colors.reshape(-1, 3)
    points = cielab(colors)
    low, high = _LIGHTNESS
    allowed = (points[:, 0] >= low) & (points[:, 0] <= high)
    colors, points = colors[allowed], points[allowed]
    if n > len(colors):
        raise ValueError(
            f'n is {n + len(_FIRST)}; allowed are at most '
            f'{len(colors) + len(_FIRST)} colours'
        )
    distance = np.full(len(colors), np.inf)
    for taken in cielab(np.array([*_FIRST, *_TAKEN])):
        distance = np.minimum(distance, np.linalg.norm(points - taken, axis=1))
    chosen = []
    for _ in range(n):
        # Rounded, so that the last bit of a platform's cbrt decides no tie.
        best = int(np.argmax(distance.round(6)))
        chosen.append(tuple(map(int, colors[best])))
        gap = np.linalg.norm(points - points[best], axis=1)
        distance = np.minimum(distance, gap)
    return tuple(chosen)
