"""Overlaps of rotated boxes in double precision, on any device.

mmcv's ``box_iou_rotated`` computes in single precision and loses corners where edges
of both boxes lie on one line, as those of a box and the same box with its angle turned
by pi: their IoU is 1, and mmcv's can be 0.  It also computes the overlap of any pair,
however far apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

_COMPARED_AT_ONCE = 1 << 22  # bounds what the comparison of upright bounds allocates
_PAIRS_AT_ONCE = 1 << 16
_SHRINK = 1 - 1e-9


def near_pairs(
    boxes: Tensor,
    others: Tensor,
    labels: Tensor | None = None,
    other_labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the pairs of one class whose upright bounds overlap.

    All other pairs of the class have IoU 0.

    Args:
        boxes: (cx, cy, w, h, angle in radians), shape (n, 5).
        others: Like ``boxes``, shape (m, 5).
        labels: Class ids of ``boxes``, shape (n,); None if there is only one class.
        other_labels: Class ids of ``others``, shape (m,).

    Returns:
        Indices into ``boxes`` and into ``others``, int64, shape (p,), sorted by the
        first, then by the second.
    """
    low, high = _bounds(boxes)
    other_low, other_high = _bounds(others)
    rows = max(1, _COMPARED_AT_ONCE // max(1, len(others)))
    found = [torch.zeros(0, 2, dtype=torch.long, device=boxes.device)]
    for start in range(0, len(boxes), rows):
        part = slice(start, start + rows)
        near = low[part, None, 0] < other_high[:, 0]
        near &= other_low[:, 0] < high[part, None, 0]
        near &= low[part, None, 1] < other_high[:, 1]
        near &= other_low[:, 1] < high[part, None, 1]
        if labels is not None:
            near &= labels[part, None] == other_labels
        pairs = torch.nonzero(near)
        pairs[:, 0] += start
        found.append(pairs)
    first, second = torch.cat(found).unbind(1)
    return first, second


def pair_overlaps(boxes: Tensor, others: Tensor, mode: str = 'iou') -> Tensor:
    """Compute the overlap of each box with its counterpart.

    By Green's theorem the area of the intersection is an integral along its border,
    which consists of the part of each border that lies in the other box.  Edges that
    lie on one line would count twice, so the first box is made smaller by 1e-9 of its
    sides.

    Args:
        boxes: (cx, cy, w, h, angle in radians), shape (p, 5).
        others: Likewise, shape (p, 5).
        mode: 'iou', or 'iof' for the share of the first box that is covered.

    Returns:
        Overlap in 0..1, float32, shape (p,), exact to its last digit; 0 for boxes
        without area.
    """
    overlaps = torch.zeros(len(boxes), device=boxes.device)
    for start in range(0, len(boxes), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        one, other = boxes[part].double(), others[part].double()
        zero = torch.zeros_like(one[:, :2])
        sides, other_sides = one[:, 2:4].clamp(min=0), other[:, 2:4].clamp(min=0)
        first = (one[:, :2] - other[:, :2], sides * _SHRINK, one[:, 4])
        second = (zero, other_sides, other[:, 4])
        shared = _border_integral(first, second) + _border_integral(second, first)
        whole = sides.prod(dim=1)
        if mode == 'iou':
            whole = whole + other_sides.prod(dim=1) - shared
        overlaps[part] = torch.where(whole > 0, shared / whole, 0).clamp(0, 1).float()
    return overlaps


def _border_integral(
    boxes: tuple[Tensor, Tensor, Tensor], windows: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Integral of (x dy - y dx) / 2 along the borders, where they lie in the windows.

    Boxes and windows are centres (p, 2), sides (p, 2) and angles (p,).
    """
    (centres, sides, angles), (places, openings, turns) = boxes, windows
    corners = sides.new_tensor([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    starts = centres[:, None] + _turned(corners * sides[:, None], angles)
    edges = starts.roll(-1, dims=1) - starts
    seen = _turned(starts - places[:, None], -turns)
    steps = _turned(edges, -turns)
    half = openings[:, None] / 2
    # Where the edges enter and leave each strip; parallel ones at -inf and inf.
    low, high = (-half - seen) / steps, (half - seen) / steps
    enter = torch.minimum(low, high).amax(dim=2).clamp(min=0)
    leave = torch.maximum(low, high).amin(dim=2).clamp(max=1)
    cross = starts[..., 0] * edges[..., 1] - starts[..., 1] * edges[..., 0]
    return torch.where(leave > enter, (leave - enter) * cross, 0).sum(dim=1) / 2


def _turned(points: Tensor, angles: Tensor) -> Tensor:
    """Points (p, 4, 2), each four turned by its angle (p,)."""
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    x, y = points[..., 0], points[..., 1]
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=2)


def _bounds(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper corners of the upright bounds, each (n, 2), float64."""
    centres, sides, angle = boxes.double().split((2, 2, 1), dim=1)
    cos, sin = angle.cos().abs(), angle.sin().abs()
    half = (sides * cos + sides.flip(1) * sin) / 2
    return centres - half, centres + half
