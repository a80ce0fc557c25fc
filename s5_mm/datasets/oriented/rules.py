"""Which boxes of an image are used, and what becomes of the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from s5_mm.utils.argument_checks import check_choice, check_number

from .annotations import (
    AnnotationError,
    DegeneratePolicy,
    OrientedObjects,
    is_degenerate,
)

OutsidePolicy = Literal['raise', 'drop', 'keep']
"""What becomes of boxes wholly outside of their image."""


@dataclass(frozen=True)
class BoxRules:
    """Rules that turn the objects of a file into the instances of a sample.

    Attributes:
        outside: Boxes wholly outside of their image: ``'raise'``, ``'drop'`` or
            ``'keep'``; of an unknown size all are kept.
        degenerate: Boxes without area: ``'raise'`` (by the reader), ``'drop'``, or
            ``'keep'`` where ``min_side`` gives them one.
        ignore_size: In training, boxes whose upright hull has a side shorter than
            this, in pixels, are left out.
        min_side: Sides of the oriented boxes that are shorter than this, in pixels,
            are widened to it.
        diff_thr: Objects of a higher difficulty get ``ignore_flag=1``.

    Raises:
        ValueError: If a rule is not one of the allowed ones.
    """

    outside: OutsidePolicy = 'raise'
    degenerate: DegeneratePolicy = 'raise'
    ignore_size: float = 0
    min_side: float = 0
    diff_thr: int = 100

    def __post_init__(self) -> None:
        for name in ('outside', 'degenerate'):
            check_choice(name, getattr(self, name), ('raise', 'drop', 'keep'))
        for name in ('ignore_size', 'min_side', 'diff_thr'):
            check_number(name, getattr(self, name), 0)
        if self.degenerate == 'keep' and not self.min_side:
            raise ValueError(
                "degenerate='keep' with min_side=0, expected a min_side above 0: boxes "
                'without area cannot be trained on'
            )

    def apply(
        self,
        objects: OrientedObjects,
        source: str,
        size: tuple[int, int] | None = None,
        test_mode: bool = False,
    ) -> tuple[list[dict], Counter[str]]:
        """Apply them to the objects of one image.

        Args:
            objects: What its file holds.
            source: That file, for the message.
            size: Height and width of the image in pixels, None if unknown.
            test_mode: Whether the boxes are what predictions are judged by, so that
                small ones count.

        Returns:
            The instances, and how many boxes were left out for which reason.

        Raises:
            AnnotationError: If a box is outside of the image and may not be.
        """
        corners = objects.corners
        points = corners.reshape(-1, 4, 2)
        low, high = points.min(1), points.max(1)
        keep = np.ones(len(corners), bool)
        left_out: Counter[str] = Counter()

        def pass_on(passed: np.ndarray, what: str) -> None:
            number = int((keep & ~passed).sum())
            if number:
                left_out[f'boxes {what} left out'] = number
            keep[:] &= passed

        if self.degenerate == 'drop':
            pass_on(~is_degenerate(corners), 'without area')
        if self.ignore_size and not test_mode:
            large = (high - low).min(1) >= self.ignore_size
            pass_on(large, f'below {self.ignore_size} px')
        if size is not None and self.outside != 'keep':
            inside = ((high > 0) & (low < size[::-1])).all(1)
            if self.outside == 'raise' and not inside[keep].all():
                row = int(np.argmin(inside | ~keep))
                raise _outside_error(source, objects, row, size)
            pass_on(inside, 'outside of their image')
        if self.min_side:
            corners = widen(corners, self.min_side)
        flags = (objects.difficulty > self.diff_thr).astype(int)
        instances = [
            {'bbox': box, 'bbox_label': label, 'ignore_flag': flag}
            for box, label, flag in zip(
                corners[keep].tolist(),
                objects.labels[keep].tolist(),
                flags[keep].tolist(),
                strict=True,
            )
        ]
        return instances, left_out


def widen(corners: np.ndarray, min_side: float) -> np.ndarray:
    """Widen the smallest oriented boxes around corners to a shortest side.

    Args:
        corners: float64, shape (n, 8).
        min_side: Shortest side in pixels.

    Returns:
        float64, shape (n, 8); boxes with long sides are as they were.
    """
    widened = corners.copy()
    for row, points in enumerate(corners.reshape(-1, 4, 2).astype(np.float32)):
        centre, sides, angle = cv2.minAreaRect(points)
        if min(sides) < min_side:
            longer = (max(sides[0], min_side), max(sides[1], min_side))
            widened[row] = cv2.boxPoints((centre, longer, angle)).ravel()
    return widened


def _outside_error(
    source: str, objects: OrientedObjects, row: int, size: tuple[int, int]
) -> AnnotationError:
    """Make the error of a box that is outside of its image."""
    corners = ' '.join(f'{value:g}' for value in objects.corners[row])
    return AnnotationError(
        source,
        f'object {row + 1} of {len(objects.labels)}: the box {corners} is wholly '
        f'outside of its image of {size[1]}x{size[0]} px; outside may be '
        "'raise', 'drop' or 'keep'",
    )
