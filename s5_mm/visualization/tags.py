"""Short texts on coloured ground, placed where they hide little of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from .drawing import INK, PAPER
from .lettering import FONT, font_scale, text_size

_ZOOM = 4


@lru_cache(maxsize=4096)
def tag(text: str, height: int, color: tuple[int, int, int]) -> np.ndarray:
    """Write a text on coloured ground.

    Args:
        text: The text; characters beyond ASCII become '?'.
        height: Height of the tag in pixels.
        color: RGB of the ground, 0-255; the ink is black or white, whichever
            contrasts more.

    Returns:
        uint8 (height, w, 3) RGB, as wide as the text needs; not to be changed.
    """
    text = text.encode('ascii', 'replace').decode()
    light = np.dot(color, (0.299, 0.587, 0.114)) > 140
    # Strokes are drawn four times too large and shrunk, which reads better.
    scale = font_scale(round(height * 0.6 * _ZOOM), _ZOOM)
    width, ascent = text_size(text, scale, _ZOOM)
    shape = (height * _ZOOM, width + height * _ZOOM // 2)
    canvas = np.full((*shape, 3), color, dtype=np.uint8)
    origin = height * _ZOOM // 4, (height * _ZOOM + ascent) // 2
    ink = INK if light else PAPER
    cv2.putText(canvas, text, origin, FONT, scale, ink, _ZOOM, cv2.LINE_AA)
    size = max(round(shape[1] / _ZOOM), 1), height
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)


class TagPlacer:
    """Finds room for tags beside the things that they name.

    A tag goes above, below, right or left of its thing: there where it hides the
    least of the others, inside the picture, and on no other tag.  Parts of things that
    hold others (a harbour its ships) or an eighth of the picture may be hidden.

    Args:
        polygons: The things, convex, (n, 4, 2), x and y in pixels.
        shape: Height and width of the picture in pixels.
        max_hidden: Share of a tag that may cover things, in [0, 1].
    """

    def __init__(
        self,
        polygons: np.ndarray,
        shape: tuple[int, int],
        max_hidden: float = 0.1,
    ) -> None:
        self.shape, self.max_hidden = shape, max_hidden
        self._things = _cover(polygons, shape)
        self._tags = np.zeros(shape, dtype=np.uint8)

    def place(
        self, polygon: np.ndarray, sizes: Sequence[tuple[int, int]]
    ) -> tuple[int, int, int] | None:
        """Find room for a tag and reserve it.

        Args:
            polygon: The thing, (4, 2), x and y in pixels.
            sizes: (height, width) of the tag in pixels, of versions of it that say
                less and less.

        Returns:
            Number of the first version that there is room for, and the place of its
            top left corner, x and y in pixels; None if there is room for none.
        """
        for version, (height, width) in enumerate(sizes):
            best = None
            for x, y in _beside(polygon, height, width):
                x = min(max(round(x), 0), self.shape[1] - width)
                y = min(max(round(y), 0), self.shape[0] - height)
                where = slice(y, y + height), slice(x, x + width)
                if min(x, y) < 0 or self._tags[where].any():
                    continue
                hidden = self._things[where].mean()
                if hidden <= self.max_hidden and (best is None or hidden < best[0]):
                    best = hidden, x, y
            if best is not None:
                _, x, y = best
                self._tags[y : y + height, x : x + width] = 1
                return version, x, y
        return None


def _cover(polygons: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Mark the pixels of small things that hold the middle of no other.

    Args:
        polygons: The things, (n, 4, 2).
        shape: Height and width of the picture in pixels.

    Returns:
        uint8 (H, W), 1 where a thing is that must not be hidden.
    """
    covered = np.zeros(shape, dtype=np.uint8)
    middles = polygons.mean(axis=1)
    for polygon in polygons:
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        near = middles[((middles >= low) & (middles <= high)).all(axis=1)]
        outline = polygon.astype(np.float32)
        if cv2.contourArea(outline) > shape[0] * shape[1] / 8:
            continue
        held = sum(
            cv2.pointPolygonTest(outline, tuple(map(float, middle)), False) >= 0
            for middle in near
        )
        if held <= 1:  # its own
            cv2.fillConvexPoly(covered, np.rint(polygon).astype(np.int32), 1)
    return covered


def _beside(
    polygon: np.ndarray, height: int, width: int, gap: int = 2
) -> list[tuple[float, float]]:
    """Top left corners of a tag above, below, right and left of a polygon."""

    def tip(values: np.ndarray) -> np.ndarray:
        """The outermost corner, or the middle of the outermost edge."""
        return polygon[values >= values.max() - 2].mean(axis=0)

    x, y = polygon[:, 0], polygon[:, 1]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = tip(-y), tip(y), tip(x), tip(-x)
    return [
        (x0 - width / 2, y0 - height - gap),
        (x1 - width / 2, y1 + gap),
        (x2 + gap, y2 - height / 2),
        (x3 - width - gap, y3 - height / 2),
    ]
