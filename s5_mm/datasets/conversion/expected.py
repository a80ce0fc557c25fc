"""How many images a data set is known to have; the numbers are in a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .archive import LayoutError

NONE = 'none'
"""In place of a file: nothing is known, as of a part of a data set."""


class Expected(NamedTuple):
    """What is known of a split.

    Attributes:
        images: Number of images; None if it is not known.
        sizes: (width, height) that images may have, in pixels; empty: any.
        scenes: Number of images of the source; None if it is not known.
    """

    images: int | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    scenes: int | None = None


def read_expected(path: str | Path, name: str) -> Mapping[str, Expected] | None:
    """Read what is known of a data set.

    The file is ``{name: {"source": text, "splits": {split: {"images": n, "sizes":
    [[width, height], ...], "scenes": n}}}}``; all but the names may be left out.

    Args:
        path: The file, or :data:`NONE`.
        name: The data set.

    Returns:
        Its splits; None if nothing is known.

    Raises:
        LayoutError: If the file is missing or malformed, or lacks the data set.
    """
    if str(path) == NONE:
        return None
    try:
        table = json.loads(Path(path).read_text(encoding='utf-8'))
        splits = table[name]['splits']
        return {
            split: Expected(
                _number(entry.get('images')),
                tuple((int(w), int(h)) for w, h in entry.get('sizes', ())),
                _number(entry.get('scenes')),
            )
            for split, entry in splits.items()
        }
    except FileNotFoundError as error:
        raise LayoutError(f'{path}: there is no such table of counts') from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LayoutError(
            f'{path}: no counts of {name!r} ({type(error).__name__}: {error}), '
            'expected {"' + name + '": {"splits": {"train": {"images": 1}}}}, or '
            f'{NONE!r} in place of the file'
        ) from error


def _number(value: float | None) -> int | None:
    """Read a number that may be unknown."""
    return None if value is None else int(value)
