"""The picture, its mask and its boxes while a synthetic scene is painted."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .style import Color

FIELD, ROAD, BUILDING, WATER, TREE, VEHICLE = range(6)

# Polygons are drawn with 1/16 pixel precision.
_SHIFT = 4


class OrientedBox(NamedTuple):
    """One object of the detection annotation.

    Attributes:
        corners: Corners in order, float64 (4, 2), x and y in pixels.
        label: Name of its class.
        difficult: 1 if it is cut by the border or mostly hidden, else 0.
    """

    corners: np.ndarray
    label: str
    difficult: int


def _fixed(points: np.ndarray) -> np.ndarray:
    """Convert points to the fixed-point integers of OpenCV."""
    return np.rint(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)


class Canvas:
    """A picture and its mask, painted together.

    Args:
        size: Side of the tile in pixels.
        ground: Colour of the empty tile.

    Attributes:
        image: uint8 (size, size, 3) RGB.
        mask: Class of each pixel, uint8 (size, size).
        shadow: 255 where a shadow falls, uint8 (size, size).
        taken: Non-zero where nothing more may be built, uint8 (size, size).
        boxes: Objects with their boxes.
    """

    def __init__(self, size: int, ground: Color) -> None:
        self.size = size
        self.image = np.empty((size, size, 3), dtype=np.uint8)
        self.image[:] = ground
        self.mask = np.full((size, size), FIELD, dtype=np.uint8)
        self.shadow = np.zeros((size, size), dtype=np.uint8)
        self.taken = np.zeros((size, size), dtype=np.uint8)
        self.boxes: list[OrientedBox] = []

    def polygon(
        self, points: np.ndarray, color: Color, label: int | None = None
    ) -> None:
        """Fill a polygon.

        Args:
            points: Corners in order, float (N, 2).
            color: Its colour.
            label: Its class; None leaves the mask as it is.
        """
        corners = [_fixed(points)]
        cv2.fillPoly(self.image, corners, color, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.mask, corners, label, cv2.LINE_8, _SHIFT)

    def disc(
        self, centre: np.ndarray, radius: float, color: Color, label: int | None = None
    ) -> None:
        """Fill a disc.

        Args:
            centre: Its centre, (x, y).
            radius: Its radius in pixels.
            color: Its colour.
            label: Its class; None leaves the mask as it is.
        """
        x, y, r = _fixed(np.array([centre[0], centre[1], radius])).tolist()
        cv2.circle(self.image, (x, y), r, color, -1, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.circle(self.mask, (x, y), r, label, -1, cv2.LINE_8, _SHIFT)

    def ribbon(
        self, points: np.ndarray, width: float, color: Color, label: int | None = None
    ) -> None:
        """Draw a thick line.

        Args:
            points: Its centre line, float (N, 2).
            width: Its width in pixels.
            color: Its colour.
            label: Its class; None leaves the mask as it is.
        """
        tangent = np.gradient(np.asarray(points, dtype=float), axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        side = tangent[:, ::-1] * np.array([-1, 1]) * (width / 2)
        self.polygon(
            np.concatenate([points + side, (points - side)[::-1]]), color, label
        )

    def dashes(
        self, points: np.ndarray, on: float, off: float, width: float, color: Color
    ) -> None:
        """Draw a broken line between two points.

        Args:
            points: The two ends, float (2, 2).
            on: Length of a dash in pixels.
            off: Length of a gap in pixels.
            width: Width of the line in pixels.
            color: Its colour.
        """
        start, end = points
        length = float(np.linalg.norm(end - start))
        along = (end - start) / max(length, 1e-9)
        for at in np.arange(off / 2, length - on, on + off):
            dash = np.stack([start + along * at, start + along * (at + on)])
            if (dash > -on).all() and (dash < self.size + on).all():
                self.ribbon(dash, width, color)

    def reserve(self, points: np.ndarray) -> None:
        """Keep other things off a polygon.

        Args:
            points: Corners in order, float (N, 2).
        """
        cv2.fillPoly(self.taken, [_fixed(points)], 1, cv2.LINE_8, _SHIFT)

    def cast(self, points: np.ndarray) -> None:
        """Let a shadow fall on a polygon.

        Args:
            points: Corners in order, float (N, 2).
        """
        cv2.fillPoly(self.shadow, [_fixed(points)], 255, cv2.LINE_AA, _SHIFT)

    def free(self, corners: np.ndarray) -> bool:
        """Tell whether a convex polygon may be built on.

        Args:
            corners: Corners in order, float (N, 2).

        Returns:
            True if none of its corners, its middle and the middles of its sides
            is taken, and at least one of them lies on the tile.
        """
        middles = (corners + np.roll(corners, -1, axis=0)) / 2
        middle = corners.mean(axis=0, keepdims=True)
        x, y = np.rint(np.concatenate([corners, middles, middle])).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < self.size) & (y < self.size)
        if not inside.any():
            return False
        return not self.taken[y[inside], x[inside]].any()

    def meets(self, polygon: np.ndarray) -> bool:
        """Tell whether the bounding box of a polygon meets the tile.

        Args:
            polygon: Corners, float (N, 2).

        Returns:
            True if it does.
        """
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        return bool((high > 0).all() and (low < self.size).all())

    def holds(self, point: np.ndarray) -> bool:
        """Tell whether a point lies on the tile.

        Args:
            point: (x, y) in pixels.

        Returns:
            True if it does.
        """
        return bool((point >= 0).all() and (point < self.size).all())

    def shade(self, left: float) -> None:
        """Darken what was painted so far where shadows fall.

        Args:
            left: Brightness left in a full shadow, in [0, 1].
        """
        # Skylight makes shadows bluish: blue keeps more than red.
        lost = 1 - np.array([left, left, min(left + 0.06, 1.0)])
        factor = (1 - np.arange(256)[:, None] / 255 * lost).astype(np.float32)
        np.multiply(self.image, factor[self.shadow], out=self.image, casting='unsafe')
