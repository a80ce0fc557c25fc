"""The objects of a text file of DOTA, whatever their classes are, and back to text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_HEADERS = ('imagesource:', 'gsd:', 'acquisition dates:')
_EXPECTED = 'expected x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]'
# Decimals of a written coordinate: well below what is drawn, above rounding of sums.
_DECIMALS = 4


class AnnotationFileError(ValueError):
    """A file of annotations that cannot be used.

    Args:
        path: The file.
        reason: Where in it, what was found and what is allowed.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)

    def __str__(self) -> str:
        return ': '.join(self.args)


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
        path: The file; lines such as ``imagesource:GoogleEarth`` may come first.

    Returns:
        The objects in the order of the file.

    Raises:
        AnnotationFileError: If the file is missing, is no text or has a malformed
            line; the line is named.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().splitlines()
    except FileNotFoundError as error:
        raise AnnotationFileError(
            path,
            'the file does not exist, expected one for every image; with '
            '--missing-ann empty such an image has no objects',
        ) from error
    except UnicodeDecodeError as error:
        raise AnnotationFileError(path, f'is no text in UTF-8 ({error})') from error
    except OSError as error:
        raise AnnotationFileError(
            path, f'the file cannot be read ({error.strerror})'
        ) from error
    corners, labels, difficult = [], [], []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or (not labels and line.strip().lower().startswith(_HEADERS)):
            continue
        where = f'line {number}'
        if len(words) not in (9, 10):
            raise AnnotationFileError(
                path, f'{where}: {len(words)} fields, {_EXPECTED}: {line[:80]!r}'
            )
        corners.append([_coordinate(word, path, where) for word in words[:8]])
        labels.append(words[8])
        flag = words[9] if len(words) == 10 else '0'
        if not flag.isdecimal():
            raise AnnotationFileError(
                path, f'{where}: difficult is {flag!r}, expected 0 or 1'
            )
        difficult.append(int(flag))
    return make_objects(corners, labels, difficult)


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


def _coordinate(word: str, path: str, where: str) -> float:
    """Understand a coordinate."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationFileError(
            path, f'{where}: {word!r} is no coordinate, expected a finite number'
        )
    return value
