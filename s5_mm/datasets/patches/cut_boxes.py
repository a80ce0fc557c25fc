"""Which objects belong to a patch, and what becomes of those that its border cuts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .dota_objects import DotaObjects

try:
    import shapely
except ImportError as error:
    raise ImportError(
        "objects are cut by shapely, which is not installed: pip install 's5_mm[det]'"
    ) from error

TRUNCATED = 2
"""Difficult flag of an object that the border of its patch cuts, as mmrotate has it."""


def cut_objects(
    objects: DotaObjects, windows: np.ndarray, iof_thr: float = 0.7
) -> Iterator[tuple[np.ndarray, DotaObjects]]:
    """Give every window its objects, by the rule of mmrotate's ``img_split.py``.

    An object belongs to a window if at least ``iof_thr`` of its area is inside.  It
    keeps all four corners, which may lie outside of the patch, and its difficult flag;
    if a part is outside, the flag becomes :data:`TRUNCATED`, and the original one is
    lost.  The part of a window beyond the image counts as inside, as in the host.

    Unlike the host: whether an object is whole is told from its corners, not from areas
    in float32, by which the host calls whole objects truncated (its area of an object
    with fractional corners rounds up as often as down); corners that are no simple
    polygon, at which the host stops, stand for their convex hull, as they do for every
    rotated box made of them; and an object without area belongs nowhere at any
    threshold.

    Args:
        objects: Objects of the image.
        windows: int64, shape (m, 4): x0, y0, x1, y1.
        iof_thr: Share of the object's area that must be inside, above 0 to 1.

    Yields:
        Per window the rows of its objects, int64, ascending, and the objects themselves
        with coordinates relative to the window.
    """
    points = objects.corners.reshape(-1, 4, 2)
    low, high = points.min(1), points.max(1)
    polygons = np.asarray(shapely.polygons(points), object)
    broken = ~shapely.is_valid(polygons)
    polygons[broken] = shapely.convex_hull(shapely.multipoints(points[broken]))
    areas = shapely.area(polygons)
    solid = areas > 0
    for window in windows:
        start, stop = window[:2], window[2:]
        whole = solid & ((low >= start) & (high <= stop)).all(1)
        near = solid & ~whole & ((high > start) & (low < stop)).all(1)
        part = np.flatnonzero(near)
        inside = shapely.intersection(polygons[part], shapely.box(*window))
        part = part[shapely.area(inside) / areas[part] >= iof_thr]
        rows = np.sort(np.concatenate([np.flatnonzero(whole), part]))
        taken = objects.take(rows)
        yield (
            rows,
            DotaObjects(
                taken.corners - np.tile(start, 4),
                taken.labels,
                np.where(whole[rows], taken.difficult, TRUNCATED),
            ),
        )
