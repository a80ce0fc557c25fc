"""From the colours of a drawn mask to class ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .archive import SourceError

ISPRS_COLOURS = (
    *((0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255)),
    *((0, 255, 0), (255, 255, 0), (255, 0, 0)),
)
"""Boundary, impervious surface, building, low vegetation, tree, car, clutter."""

_SHOWN = 6


@dataclass(frozen=True)
class ColourTable:
    """What the colours of a mask mean.

    The hosts compare sums such as ``2 b + 3 g + 4 r``, in which different colours are
    equal, and let an unknown colour become class 0 silently; here colours are compared
    themselves and an unknown one is an error.

    Attributes:
        colours: Red, green and blue of id 0, 1, ...
        unknown: What becomes of another colour: ``'error'``, or ``'zero'`` for id 0.
    """

    colours: tuple[tuple[int, int, int], ...]
    unknown: Literal['error', 'zero'] = 'error'

    def apply(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """Translate a mask.

        Args:
            pixels: uint8, shape (H, W, 3), RGB.
            name: Name of the file, for messages.

        Returns:
            uint8, shape (H, W): ids.

        Raises:
            SourceError: If a colour is none of the table; the message names these
                colours and how many pixels hold them.
        """
        values = _pack(pixels)
        table = _pack(np.array(self.colours, np.uint8))
        order = np.argsort(table)
        places = np.searchsorted(table[order], values)
        ids = order[np.minimum(places, len(order) - 1)].astype(np.uint8)
        wrong = table[ids] != values
        if wrong.any():
            if self.unknown == 'error':
                raise SourceError(f'{name}: {_describe(values[wrong], self.colours)}')
            ids[wrong] = 0
        return ids


def _pack(pixels: np.ndarray) -> np.ndarray:
    """Make one number of each colour."""
    return pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def _describe(values: np.ndarray, allowed: Sequence[tuple[int, ...]]) -> str:
    """Name colours that are not in the table."""
    found, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind='stable')[:_SHOWN]
    shown = ', '.join(
        f'({found[i] >> 16}, {found[i] >> 8 & 255}, {found[i] & 255}) {counts[i]} px'
        for i in order
    )
    more = ', ...' if len(found) > _SHOWN else ''
    return f'colour(s) {shown}{more}; allowed are {", ".join(map(str, allowed))}'
