"""Boxes under flips and quarter turns, without a rounding error of the geometry."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor


def quarter_turn(shape: tuple[int, int], k: int) -> np.ndarray:
    """Write ``np.rot90`` as a map of coordinates.

    Coordinates are continuous, x to the right and y down; the pixel in column ``i``
    covers ``[i, i + 1]``, as everywhere in mmdet and mmrotate.

    Args:
        shape: Height and width of the image before the turn, in pixels.
        k: Number of turns by 90 degrees, counter-clockwise on the screen.

    Returns:
        float64 (3, 3), from coordinates before the turn to those after it; all
        entries are whole numbers.
    """
    matrix = np.eye(3)
    height, width = shape
    for _ in range(k % 4):  # (x, y) -> (y, width - x)
        matrix = np.array([[0, 1, 0], [-1, 0, width], [0, 0, 1.0]]) @ matrix
        height, width = width, height
    return matrix


def map_boxes(boxes: Tensor, matrix: np.ndarray) -> Tensor:
    """Map boxes by a symmetry of the pixel grid.

    mmrotate's ``rotate_`` goes through the sines of an angle in float32 and a centre;
    here coordinates are only swapped, negated and moved.

    Args:
        boxes: Rotated boxes (cx, cy, w, h, angle), (n, 5), the angle in radians,
            clockwise positive; or the four corners of quadrilaterals, (n, 8).  Of any
            floating type.
        matrix: (3, 3), flips, quarter turns and translations.

    Returns:
        The mapped boxes, same shape and type, new.  Width and height of rotated boxes
        are kept as they are; the angle is in [-pi/2, pi/2).

    Raises:
        ValueError: If the boxes have another number of columns, or the matrix does
            something else.
    """
    if boxes.shape[-1] not in (5, 8):
        raise ValueError(
            f'boxes of shape {tuple(boxes.shape)} found, expected (n, 5) or (n, 8)'
        )
    (a, b, x0), (c, d, y0) = np.asarray(matrix, dtype=np.float64)[:2].tolist()
    if sorted((abs(a), abs(b))) != [0, 1] or (abs(c), abs(d)) != (abs(b), abs(a)):
        raise ValueError(
            f'matrix={np.asarray(matrix).tolist()}, expected flips, quarter turns '
            'and translations only'
        )
    mapped = boxes.clone()
    stop = 2 if boxes.shape[-1] == 5 else 8
    x, y = boxes[..., 0:stop:2], boxes[..., 1:stop:2]
    # No matrix product: TF32 would round the coordinates on a GPU.
    mapped[..., 0:stop:2] = a * x + b * y + x0
    mapped[..., 1:stop:2] = c * x + d * y + y0
    if stop == 2:
        # The angle of the image of the x axis, modulo a half turn.
        angle = boxes[..., 4] * (a * d - b * c) + abs(c) * (math.pi / 2)
        half_turns = ((angle + math.pi / 2) / math.pi).floor()
        mapped[..., 4] = angle - math.pi * half_turns
    return mapped
