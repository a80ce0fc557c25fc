"""IoU of rotated boxes in double precision, only of those that lie near each other.

mmcv's ``box_iou_rotated`` computes in single precision and loses corners where edges
lie on one line: of random boxes of 8 to 120 px, 0.1 % of those that differ by rounding
alone (5e-5 px) get another IoU, 7 % of those that are shifted along their own axis and
25 % of those that differ in width, off by up to 0.9 (commit 7a86ab8, its
``benchmark_rotated_iou.py``).  It also computes the IoU of any pair, however far apart.
"""

from __future__ import annotations

import numpy as np

_COMPARED_AT_ONCE = 1 << 22  # bounds what the comparison of upright bounds allocates
_PAIRS_AT_ONCE = 1 << 16
_SHRINK = 1 - 1e-9
_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2


def near_pairs(
    boxes: np.ndarray, labels: np.ndarray, others: np.ndarray, other_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of one class whose upright bounds overlap.

    All other pairs of the class have IoU 0.

    Args:
        boxes: (cx, cy, w, h, angle in radians), shape (n, 5).
        labels: Class ids, shape (n,).
        others: Like ``boxes``, shape (m, 5).
        other_labels: Class ids, shape (m,).

    Returns:
        Indices into ``boxes`` and into ``others``, int64, shape (p,), sorted by the
        first, then by the second.
    """
    low, high = _bounds(boxes)
    other_low, other_high = _bounds(others)
    rows = max(1, _COMPARED_AT_ONCE // max(1, len(others)))
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(boxes), rows):
        part = slice(start, start + rows)
        near = labels[part, None] == other_labels
        for axis in range(2):
            near &= low[part, None, axis] < other_high[:, axis]
            near &= other_low[:, axis] < high[part, None, axis]
        i, j = np.nonzero(near)
        first.append(i + start)
        second.append(j)
    return np.concatenate(first), np.concatenate(second)


def pair_ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the IoU of each box with the other of its place.

    Green's theorem: the border of the intersection is what of each border lies in the
    other box.  Edges that lie on one line would count twice, so the first box is made
    smaller by 1e-9 of its sides.

    Args:
        boxes: (cx, cy, w, h, angle in radians), shape (p, 5).
        others: Likewise, shape (p, 5).

    Returns:
        IoU in 0..1, float32, shape (p,), good to its last digit; 0 of boxes without
        area.
    """
    ious = np.zeros(len(boxes), np.float32)
    for start in range(0, len(boxes), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        one, other = boxes[part].astype(np.float64), others[part].astype(np.float64)
        one[:, :2] -= other[:, :2]
        other[:, :2] = 0
        one[:, 2:4] = one[:, 2:4].clip(0) * _SHRINK
        other[:, 2:4] = other[:, 2:4].clip(0)
        shared = _border_integral(one, other) + _border_integral(other, one)
        union = one[:, 2] * one[:, 3] + other[:, 2] * other[:, 3] - shared
        np.divide(shared, union, out=ious[part], where=union > 0, casting='same_kind')
    return ious


def _border_integral(boxes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Integral of (x dy - y dx) / 2 along what of the borders lies in the windows."""
    starts = boxes[:, None, :2] + _turned(_CORNERS * boxes[:, None, 2:4], boxes[:, 4])
    edges = np.roll(starts, -1, axis=1) - starts
    seen = _turned(starts - windows[:, None, :2], -windows[:, 4])
    steps = _turned(edges, -windows[:, 4])
    half = windows[:, None, 2:4] / 2
    with np.errstate(divide='ignore', invalid='ignore'):
        # Where the edges enter and leave each strip; parallel ones at -inf and inf.
        low, high = (-half - seen) / steps, (half - seen) / steps
    enter = np.minimum(low, high).max(axis=2).clip(0)
    leave = np.maximum(low, high).min(axis=2).clip(None, 1)
    cross = starts[..., 0] * edges[..., 1] - starts[..., 1] * edges[..., 0]
    return np.where(leave > enter, (leave - enter) * cross, 0).sum(axis=1) / 2


def _turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points (p, 4, 2), turned by an angle (p,) each."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack((cos * x - sin * y, sin * x + cos * y), axis=2)


def nms_order(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou_thr: float
) -> np.ndarray:
    """Suppress, class by class, what overlaps a box of a higher score.

    As mmcv's ``nms_rotated`` on the CPU, called for each class; that one computes the
    IoU of all pairs, 34-36 s for 8,000 boxes in an image of 10,000 px where this takes
    0.7 (same benchmark), and so that a box found in two patches may stay twice, see
    above.

    Args:
        boxes: (cx, cy, w, h, angle in radians), shape (n, 5).
        scores: Shape (n,).
        labels: Class ids, shape (n,).
        iou_thr: A box goes if its IoU with one that stays is at least this, above 0.

    Returns:
        Indices of the boxes that stay, by falling score, ties in the order of the
        boxes; int64, shape (k,).
    """
    order = np.argsort(-scores, kind='stable')
    boxes, labels = boxes[order], labels[order]
    first, second = near_pairs(boxes, labels, boxes, labels)
    later = first < second
    first, second = first[later], second[later]
    over = pair_ious(boxes[first], boxes[second]) >= iou_thr
    first, second = first[over], second[over]
    starts = np.searchsorted(first, np.arange(len(boxes) + 1))
    stays = np.ones(len(boxes), bool)
    for i in np.unique(first):
        if stays[i]:
            stays[second[starts[i] : starts[i + 1]]] = False
    return order[stays]


def _bounds(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corners of the upright bounds, each (n, 2) in float64."""
    centre, (w, h, angle) = (
        boxes[:, :2].astype(np.float64),
        boxes[:, 2:].T.astype(float),
    )
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    half = np.stack((w * cos + h * sin, w * sin + h * cos), axis=1) / 2
    return centre - half, centre + half
