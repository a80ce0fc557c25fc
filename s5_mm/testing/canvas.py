"""The picture, its mask and its boxes while a synthetic scene is painted."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

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


class Canvas:
    """A picture and its mask, painted together.

    Args:
        size: Side of the tile in pixels.
        ground: Colour of the empty tile, RGB in [0, 255].

    Attributes:
        image: uint8 (size, size, 3) RGB.
        mask: Class of each pixel, uint8 (size, size).
    """

    def __init__(self, size: int, ground: np.ndarray) -> None:
        self.size = size
        self.image = np.empty((size, size, 3), dtype=np.uint8)
        self.image[:] = ground
        self.mask = np.full((size, size), FIELD, dtype=np.uint8)

    def polygon(
        self, points: np.ndarray, color: np.ndarray, label: int | None = None
    ) -> None:
        """Fill a polygon.

        Args:
            points: Corners in order, float (N, 2).
            color: Its colour, RGB in [0, 255].
            label: Its class; None leaves the mask as it is.
        """
        corners = [np.rint(points * (1 << _SHIFT)).astype(np.int32)]
        rgb = np.clip(color, 0, 255).tolist()
        cv2.fillPoly(self.image, corners, rgb, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.mask, corners, label, cv2.LINE_8, _SHIFT)

    def ribbon(
        self,
        points: np.ndarray,
        width: float,
        color: np.ndarray,
        label: int | None = None,
    ) -> None:
        """Draw a thick line.

        Args:
            points: Its centre line, float (N, 2).
            width: Its width in pixels.
            color: Its colour, RGB in [0, 255].
            label: Its class; None leaves the mask as it is.
        """
        tangent = np.gradient(points, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        side = tangent[:, ::-1] * np.array([-1, 1]) * (width / 2)
        edges = np.concatenate([points + side, (points - side)[::-1]])
        self.polygon(edges, color, label)

    def shade(self, points: np.ndarray, left: float) -> None:
        """Darken a convex polygon, as a shadow does.

        Args:
            points: Points whose convex hull is darkened, float (N, 2).
            left: Share of the brightness that stays, in [0, 1].
        """
        low = np.clip(np.floor(points.min(axis=0)), 0, self.size).astype(int)
        high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, self.size).astype(int)
        if (high <= low).any():
            return
        window = self.image[low[1] : high[1], low[0] : high[0]]
        cover = np.zeros(window.shape[:2], dtype=np.uint8)
        hull = cv2.convexHull(np.rint((points - low) * (1 << _SHIFT)).astype(np.int32))
        cv2.fillConvexPoly(cover, hull, 255, cv2.LINE_AA, _SHIFT)
        factor = 1 - (1 - left) / 255 * cover.astype(np.float32)
        window[:] = window * factor[..., None]

    def free(self, points: np.ndarray) -> bool:
        """Tell whether something may be built.

        Args:
            points: Corners of its plan, float (N, 2).

        Returns:
            True if open ground is under its corners, the middles of its sides and its
            centre, as far as they are on the tile, and one of them is.
        """
        middles = (points + np.roll(points, -1, axis=0)) / 2
        points = np.concatenate([points, middles, points.mean(axis=0, keepdims=True)])
        x, y = np.rint(points).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < self.size) & (y < self.size)
        return bool(inside.any() and (self.mask[y[inside], x[inside]] == FIELD).all())

    def box(self, corners: np.ndarray, label: str) -> OrientedBox | None:
        """Return the box of a vehicle, once everything is painted.

        Args:
            corners: Its corners in order, float (4, 2).
            label: Name of its class.

        Returns:
            The box; None if its centre is off the tile or less than a quarter of it
            can be seen, as in DOTA's tiles.
        """
        centre = corners.mean(axis=0)
        if (centre < 0).any() or (centre > self.size - 1).any():
            return None
        plan = np.zeros_like(self.mask)
        points = np.rint(corners * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(plan, [points], 1, cv2.LINE_8, _SHIFT)
        seen = (self.mask[plan > 0] == VEHICLE).sum()
        share = seen / np.prod(np.linalg.norm(corners[1:3] - corners[:2], axis=1))
        if share < 0.25:
            return None
        cut = (corners < 0).any() or (corners > self.size - 1).any()
        return OrientedBox(corners, label, int(cut or share < 0.6))
