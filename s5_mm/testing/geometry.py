"""Plane geometry of the synthetic scenes; all lengths are pixels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class Cut(NamedTuple):
    """A straight border between parcels.

    Attributes:
        start: First end, (x, y).
        end: Other end, (x, y).
        level: Number of cuts that were made before in the same part of the plane.
    """

    start: np.ndarray
    end: np.ndarray
    level: int


def rectangle(
    centre: np.ndarray, length: float, width: float, angle: float
) -> np.ndarray:
    """Corners of a rotated rectangle.

    Args:
        centre: Its centre, (x, y).
        length: Side along ``angle``.
        width: The other side.
        angle: Direction of the length in radians, from x to y.

    Returns:
        Corners in order, float64 (4, 2).
    """
    along = np.array([np.cos(angle), np.sin(angle)]) * (length / 2)
    across = np.array([-np.sin(angle), np.cos(angle)]) * (width / 2)
    return centre + np.stack(
        [-along - across, along - across, along + across, across - along]
    )


def area(polygon: np.ndarray) -> float:
    """Area of a polygon.

    Args:
        polygon: Corners, float (N, 2).

    Returns:
        Its area in square pixels.
    """
    return abs(cv2.contourArea(polygon.astype(np.float32)))


def split(
    polygon: np.ndarray, point: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a convex polygon by a line.

    Args:
        polygon: Corners in order, float (N, 2).
        point: A point inside the polygon, on the line.
        normal: Normal of the line, (2,).

    Returns:
        The part against the normal, the part along it, and the two ends of the cut
        as float (2, 2).
    """
    sides = (polygon - point) @ normal
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    ends = []
    for i, side in enumerate(sides):
        j = (i + 1) % len(sides)
        parts[int(side > 0)].append(polygon[i])
        if (side > 0) != (sides[j] > 0):
            cross = polygon[i] + side / (side - sides[j]) * (polygon[j] - polygon[i])
            ends.append(cross)
            parts[0].append(cross)
            parts[1].append(cross)
    return np.array(parts[0]), np.array(parts[1]), np.array(ends)


def partition(
    rng: np.random.Generator, polygon: np.ndarray, smallest: float
) -> tuple[list[np.ndarray], list[Cut]]:
    """Cut a convex polygon into parcels, the way land is divided.

    Args:
        rng: Source of the draws.
        polygon: Corners in order, float (N, 2).
        smallest: Parcels are cut further while they are larger than about this
            many square pixels.

    Returns:
        The parcels, float (N_i, 2) each, and the cuts, first ones first.
    """
    parcels, cuts = [], []
    queue = [(polygon, 0)]
    while queue:
        piece, level = queue.pop(0)
        if area(piece) < smallest * rng.uniform(1.0, 2.5):
            parcels.append(piece)
            continue
        edges = np.roll(piece, -1, axis=0) - piece
        longest = edges[np.argmax((edges**2).sum(axis=1))]
        # Across the longest side, a little askew.
        heading = np.arctan2(longest[1], longest[0]) + rng.normal(0, 0.06)
        normal = np.array([np.cos(heading), np.sin(heading)])
        spans = piece @ normal
        where = spans.min() + rng.uniform(0.35, 0.65) * np.ptp(spans)
        middle = piece.mean(axis=0)
        point = middle + (where - middle @ normal) * normal
        low, high, ends = split(piece, point, normal)
        if len(ends) != 2 or min(len(low), len(high)) < 3:
            parcels.append(piece)
            continue
        cuts.append(Cut(ends[0], ends[1], level))
        queue += [(low, level + 1), (high, level + 1)]
    return parcels, cuts


def inset(polygon: np.ndarray, distance: float) -> np.ndarray:
    """Move the corners of a polygon towards its centre.

    Args:
        polygon: Corners, float (N, 2).
        distance: How far; never more than 90 % of the way.

    Returns:
        The smaller polygon, float (N, 2).
    """
    centre = polygon.mean(axis=0)
    rays = centre - polygon
    lengths = np.linalg.norm(rays, axis=1, keepdims=True)
    return polygon + rays * np.minimum(distance / np.maximum(lengths, 1e-6), 0.9)


def sprinkle(rng: np.random.Generator, polygon: np.ndarray, count: int) -> np.ndarray:
    """Draw points inside a polygon.

    Args:
        rng: Source of the draws.
        polygon: Corners of a convex polygon in order, float (N, 2).
        count: Number of points drawn in its bounding box.

    Returns:
        Those of them that lie inside, float (M, 2) with M <= count.
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    points = rng.uniform(low, high, size=(count, 2))
    edges = np.roll(polygon, -1, axis=0) - polygon
    rays = points[:, None] - polygon
    turns = edges[:, 0] * rays[..., 1] - edges[:, 1] * rays[..., 0]
    return points[(turns >= 0).all(axis=1) | (turns <= 0).all(axis=1)]


def bend(rng: np.random.Generator, size: int, wiggle: float) -> np.ndarray:
    """Draw a curve that crosses a square tile, as rivers and lanes do.

    Args:
        rng: Source of the draws.
        size: Side of the tile.
        wiggle: How far the curve leaves the straight line, relative to the side.

    Returns:
        Points of the curve, float (33, 2), the ends outside of the tile.
    """
    heading = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(heading), np.sin(heading)])
    across = np.array([-along[1], along[0]])
    t = np.linspace(-0.85, 0.85, 33)
    waves = rng.uniform(1.5, 4.5, size=(2, 1)) * t + rng.uniform(0, 6.3, size=(2, 1))
    aside = wiggle * np.sin(waves).sum(axis=0) + rng.uniform(-0.25, 0.25)
    return size * (0.5 + t[:, None] * along + aside[:, None] * across)
