"""The lines of DOTA's text format, whatever the classes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .annotations import AnnotationError, is_finite, to_coordinates

_HEADERS = ('imagesource:', 'gsd:', 'acquisition dates:')
_EXPECTED = 'expected x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]'
_LARGEST_RADIANS = 6.2832


class DotaLine(NamedTuple):
    """One object as it is written.

    Attributes:
        corners: x and y of the four corners in order, in pixels.
        name: Name of the class.
        difficulty: 0 where nothing is written, higher is harder.
        place: Where it stands in the file, for messages.
    """

    corners: list[float]
    name: str
    difficulty: int
    place: str


def read_dota_lines(path: str) -> list[DotaLine]:
    """Read the objects of one image.

    A line is eight coordinates, a class and the difficulty, which may be left out.
    Lines such as ``imagesource:GoogleEarth`` and ``gsd:0.14`` may come first; an
    empty file is an image without objects.

    Args:
        path: The file.

    Returns:
        The objects, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationError: If it is no text or a line is malformed, which is named.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError(path, f'is no text in UTF-8 ({error})') from error
    found: list[DotaLine] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or (not found and line.strip().lower().startswith(_HEADERS)):
            continue
        place = f'line {number}'
        if len(words) not in (9, 10) or is_finite(words[8]):
            raise AnnotationError(path, f'{place}: {_layout(words)}')
        corners = to_coordinates(words[:8], path, place)
        difficult = words[9] if len(words) == 10 else '0'
        if not difficult.isdecimal():
            raise AnnotationError(
                path,
                f'{place}: difficult is {difficult!r}, expected a whole number of at '
                'least 0',
            )
        found.append(DotaLine(corners, words[8], int(difficult), place))
    return found


def _layout(words: Sequence[str]) -> str:
    """Say what is wrong with the number of words of a line."""
    count = next((i for i, word in enumerate(words) if not is_finite(word)), len(words))
    found = f'{count} numbers before the class, {_EXPECTED}'
    if count == 5:
        unit = 'degrees' if abs(float(words[4])) > _LARGEST_RADIANS else 'radians'
        return (
            f'{found}; five look like cx cy w h angle (in {unit}): convert them to '
            'corners'
        )
    if count == 4:
        return f'{found}; four look like an upright box: convert it to corners'
    if count == 8:
        return f'{len(words)} words, {_EXPECTED}'
    return found
