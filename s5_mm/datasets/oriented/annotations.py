"""What every file of oriented boxes is checked for, and the error that names it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np

DegeneratePolicy = Literal['raise', 'drop', 'keep']
"""What becomes of boxes without area."""

# Thinner than this in some direction, in pixels, is a line or a point.  Coordinates
# are written with one decimal, so no drawn box is.
_THINNEST = 1e-3


class AnnotationError(ValueError):
    """A file of annotations that cannot be used.

    Args:
        path: The file.
        reason: Where in it, what was found and what is allowed.
    """

    def __init__(self, path: str, reason: str | None = None) -> None:
        # The one-argument form is what torch uses to raise an exception of a
        # worker process again in the main process.
        super().__init__(*((path,) if reason is None else (path, reason)))

    def __str__(self) -> str:
        return ': '.join(str(arg) for arg in self.args)


class OrientedObjects(NamedTuple):
    """The objects of one image.

    Attributes:
        corners: float64, shape (n, 8): x and y of the four corners in order, in pixels.
        labels: int64, shape (n,): class ids.
        difficulty: int64, shape (n,): 0 where nothing is written, higher is harder.
    """

    corners: np.ndarray
    labels: np.ndarray
    difficulty: np.ndarray


def collect(
    corners: Sequence[Sequence[float]],
    labels: Sequence[int],
    difficulty: Sequence[int],
) -> OrientedObjects:
    """Put the objects of an image together.

    Args:
        corners: Eight coordinates each.
        labels: Class ids.
        difficulty: As of :class:`OrientedObjects`.

    Returns:
        The objects; arrays of length 0 where there is none.
    """
    return OrientedObjects(
        np.asarray(corners, np.float64).reshape(-1, 8),
        np.asarray(labels, np.int64),
        np.asarray(difficulty, np.int64),
    )


def to_coordinates(words: Sequence[str], path: str, where: str) -> list[float]:
    """Understand the coordinates of a box.

    Args:
        words: As they are written.
        path: The file, for the message.
        where: Place in it, for the message.

    Returns:
        The numbers.

    Raises:
        AnnotationError: If one is no finite number.
    """
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        bad = next(word for word in words if not is_finite(word))
        raise AnnotationError(
            path, f'{where}: {bad!r} is no coordinate, expected a finite number'
        )
    return numbers


def is_finite(word: str) -> bool:
    """Tell whether a word is a finite number.

    Args:
        word: Any text.

    Returns:
        Whether it is.
    """
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def unknown_class(
    name: str, classes: Sequence[str], path: str, where: str
) -> AnnotationError:
    """Make the error of a class that the config does not list.

    Args:
        name: As it is written.
        classes: The names that are allowed.
        path: The file.
        where: Place in it.

    Returns:
        The error, to be raised.
    """
    lower = {allowed.lower(): allowed for allowed in classes}
    near = get_close_matches(name.lower(), lower, n=1)
    hint = f'; did you mean {lower[near[0]]!r}?' if near else ''
    return AnnotationError(
        path,
        f'{where}: unknown class {name!r}{hint}; allowed are the '
        f"metainfo['classes']: {', '.join(classes)}",
    )


def is_degenerate(corners: np.ndarray) -> np.ndarray:
    """Find boxes without area: all corners on one line or at one point.

    Args:
        corners: float64, shape (n, 8).

    Returns:
        bool, shape (n,).
    """
    points = corners.reshape(-1, 4, 2)
    points = points - points.mean(1, keepdims=True)
    x, y = points[..., 0], points[..., 1]
    xx, yy, xy = (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)
    # Smaller eigenvalue of the scatter matrix: squared spread across the long axis.
    spread = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    return spread <= _THINNEST**2


def refuse_degenerate(
    objects: OrientedObjects, path: str, places: Sequence[str]
) -> None:
    """Raise at the first box without area.

    Args:
        objects: Objects of the file.
        path: The file.
        places: Where each object is written.

    Raises:
        AnnotationError: If there is such a box.
    """
    bad = np.flatnonzero(is_degenerate(objects.corners))
    if bad.size:
        corners = ' '.join(f'{value:g}' for value in objects.corners[bad[0]])
        raise AnnotationError(
            path,
            f'{places[bad[0]]}: the box {corners} has no area, expected four corners '
            "that span one; degenerate='drop' of the data set leaves such boxes out",
        )
