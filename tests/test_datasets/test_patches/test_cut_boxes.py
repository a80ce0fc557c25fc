"""Which objects belong to which patch, against a polygon clipper in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")

from s5_mm.datasets.patches import cut_objects  # noqa: E402
from s5_mm.datasets.patches.cut_boxes import TRUNCATED  # noqa: E402
from s5_mm.datasets.patches.dota_objects import make_objects  # noqa: E402
from s5_mm.io.images.windows import sliding_windows  # noqa: E402

from .boxes import random_objects  # noqa: E402


def after(points: list) -> list:
    return [*points[1:], *points[:1]]


def area(points: list) -> float:
    return 0.5 * abs(
        sum(
            x0 * y1 - x1 * y0
            for (x0, y0), (x1, y1) in zip(points, after(points), strict=True)
        )
    )


def clip(points: list, window: np.ndarray) -> list:
    """Cut a convex polygon by a rectangle, one side after another."""
    for side, bound in enumerate(window.tolist()):
        axis, sign = side % 2, 1 if side < 2 else -1
        kept = []
        for here, there in zip(points, after(points), strict=True):
            a, b = sign * (here[axis] - bound), sign * (there[axis] - bound)
            if a >= 0:
                kept.append(here)
            if a * b < 0:
                t = a / (a - b)
                kept.append(tuple(here[i] + t * (there[i] - here[i]) for i in (0, 1)))
        points = kept
    return points


@pytest.mark.parametrize('iof_thr', [0.3, 0.7, 1.0])
def test_against_clipping(iof_thr: float) -> None:
    objects = random_objects(3, 300, 200, count=150)
    windows = sliding_windows(300, 200, [64, 128], [16, 32])
    partly = 0
    cut = cut_objects(objects, windows, iof_thr)
    for window, (rows, taken) in zip(windows, cut, strict=True):
        expected = {}
        for row, corners in enumerate(objects.corners):
            points = list(map(tuple, corners.reshape(4, 2).tolist()))
            share = area(clip(points, window)) / area(points) if points else 0
            assert abs(share - iof_thr) > 1e-7 or iof_thr == 1
            if share >= iof_thr - 1e-12:
                expected[row] = share
        assert rows.tolist() == list(expected)
        for row, corners, label, flag in zip(rows, *taken, strict=True):
            moved = objects.corners[row] - np.tile(window[:2], 4)
            np.testing.assert_array_equal(corners, moved)
            assert label == objects.labels[row]
            part = expected[row] < 1 - 1e-9
            partly += part
            assert flag == (TRUNCATED if part else objects.difficult[row])
    assert (partly > 20) == (iof_thr < 1)


def only(corners: list[float], iof_thr: float = 0.7) -> list[int]:
    """Flags of what a patch of 10x10 px takes of one difficult object."""
    objects = make_objects([corners], ['ship'], [1])
    ((_, taken),) = cut_objects(objects, np.array([[0, 0, 10, 10]]), iof_thr)
    return taken.difficult.tolist()


def test_borders() -> None:
    assert only([0, 0, 10, 0, 10, 10, 0, 10]) == [1]  # fills the patch
    assert only([-1, 0, 9, 0, 9, 10, -1, 10]) == [TRUNCATED]
    assert only([-3, 0, 7, 0, 7, 10, -3, 10]) == [TRUNCATED]  # exactly 0.7
    assert only([-3, 0, 7, 0, 7, 10, -3, 10], 0.71) == []
    assert only([-5, 0, 0, 0, 0, 5, -5, 5]) == []  # touches
    assert only([-9, -9, 19, -9, 19, 19, -9, 19], 0.1) == [TRUNCATED]  # encloses


def test_corners_that_are_no_polygon() -> None:
    bow_tie = [1, 1, 9, 9, 9, 1, 1, 9]
    assert only(bow_tie) == [1]
    # Its hull is half inside; the bow tie itself has three quarters of it there.
    assert only([5, 1, 15, 9, 15, 1, 5, 9]) == []
    assert only([5, 1, 15, 9, 15, 1, 5, 9], 0.5) == [TRUNCATED]
    for flat in ([1, 1, 9, 1, 9, 1, 1, 1], [4, 4, 4, 4, 4, 4, 4, 4]):
        assert only(flat, 1e-9) == []


def test_no_objects() -> None:
    ((rows, taken),) = cut_objects(make_objects(), np.array([[0, 0, 10, 10]]))
    assert rows.shape == (0,)
    assert taken.corners.shape == (0, 8)
    assert taken.labels == []
