"""The objects of a text file of DOTA, whatever their classes are, and back to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..oriented import AnnotationError, read_dota_lines

# Decimals of a written coordinate: well below what is drawn, above rounding of sums.
_DECIMALS = 4


class DotaObjects(NamedTuple):
    """The objects of an image or of a patch.

    Attributes:
        corners: float64, shape (n, 8): x and y of four corners in order, in pixels.
        labels: Names of the classes, n of them, as written.
        difficult: int64, shape (n,): as written, 0 where it is not.
    """

    corners: np.ndarray
    labels: list[str]
    difficult: np.ndarray

    def take(self, rows: Sequence[int] | np.ndarray) -> DotaObjects:
        """Take some of the objects.

        Args:
            rows: Their indices.

        Returns:
            Those objects, in that order.
        """
        return DotaObjects(
            self.corners[rows], [self.labels[row] for row in rows], self.difficult[rows]
        )


def make_objects(
    corners: Sequence[Sequence[float]] = (),
    labels: Sequence[str] = (),
    difficult: Sequence[int] = (),
) -> DotaObjects:
    """Put objects together.

    Args:
        corners: Eight coordinates each.
        labels: Names of the classes.
        difficult: A whole number each.

    Returns:
        The objects; without arguments there is none.
    """
    return DotaObjects(
        np.asarray(corners, np.float64).reshape(-1, 8),
        list(labels),
        np.asarray(difficult, np.int64),
    )


def read_objects(path: str) -> DotaObjects:
    """Read the objects of one image.

    A splitter does not know the classes, so every name is taken.  The host's splitter
    skips lines it does not understand, and their objects become background; here they
    are errors.

    Args:
        path: The file, see :func:`read_dota_lines`.

    Returns:
        The objects in the order of the file.

    Raises:
        AnnotationError: If the file is missing, is no text or has a malformed line;
            the line is named.
    """
    try:
        lines = read_dota_lines(path)
    except FileNotFoundError as error:
        raise AnnotationError(
            path,
            'the file does not exist, expected one for every image; with '
            '--missing-ann empty such an image has no objects',
        ) from error
    except OSError as error:
        raise AnnotationError(
            path, f'the file cannot be read ({error.strerror})'
        ) from error
    return make_objects(
        [line.corners for line in lines],
        [line.name for line in lines],
        [line.difficulty for line in lines],
    )


def format_objects(objects: DotaObjects) -> str:
    """Write objects as the text of a file.

    Args:
        objects: Any number.

    Returns:
        One line an object, coordinates to 1e-4 px; '' without objects.
    """
    lines = []
    # 0.0 is added so that -0.0 does not appear.
    rounded = np.round(objects.corners, _DECIMALS) + 0.0
    for row, label, flag in zip(
        rounded.tolist(), objects.labels, objects.difficult.tolist(), strict=True
    ):
        lines.append(f'{" ".join(map(str, row))} {label} {flag}\n')
    return ''.join(lines)
