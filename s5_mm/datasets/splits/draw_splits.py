"""Draw the order in which images get their labels.

A split with ``n`` labelled images takes the first ``n`` of the order, so splits of one
seed are nested.  Keys are SHA-256 digests of seed and name: neither the order in which
a file system lists the images nor the version of numpy changes a draw.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

# Orders that are tried before a cover is searched for; each is a plain random draw.
_DRAWS = 64
# Steps of the search for a cover: it is exact where it ends before.
_STEPS = 50_000


class Size(NamedTuple):
    """How many images are labelled.

    Attributes:
        label: What the size is called in file names, such as ``5`` or ``1-8``.
        images: Number of images.
    """

    label: str
    images: int


def parse_size(text: str) -> int | Fraction:
    """Read a number of images, or a share such as ``1/8`` or ``0.125``.

    Args:
        text: What was written.

    Returns:
        A whole number of at least 1, or a fraction between 0 and 1.

    Raises:
        ValueError: If it is neither.
    """
    try:
        size = int(text) if text.strip().isdigit() else Fraction(text)
    except (ValueError, ZeroDivisionError):
        size = 0
    if (
        isinstance(size, int)
        and size >= 1
        or not isinstance(size, int)
        and 0 < size < 1
    ):
        return size
    raise ValueError(
        f'--labelled: {text!r}; expected a number of images of at least 1, or a share '
        'between 0 and 1 such as 1/8'
    )


def resolve_sizes(sizes: Sequence[int | Fraction], images: int) -> list[Size]:
    """Turn sizes into numbers of images.

    Args:
        sizes: Numbers and shares; a share is rounded to the nearest number.
        images: Number of images that are drawn from.

    Returns:
        The sizes, ascending.

    Raises:
        ValueError: If a size is no image at all or leaves no image unlabelled, or one
            occurs twice.
    """
    resolved = []
    for size in sizes:
        count = size if isinstance(size, int) else int(size * images + Fraction(1, 2))
        if not 1 <= count < images:
            raise ValueError(
                f'--labelled {size}: {count} of {images} image(s) to draw from; '
                f'expected 1 to {images - 1}, so that some are unlabelled'
            )
        resolved.append(Size(str(size).replace('/', '-'), count))
    labels = [size.label for size in resolved]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f'--labelled: {", ".join(twice)} occurs twice, expected different sizes'
        )
    return sorted(resolved, key=lambda size: size.images)


def draw_order(
    names: Sequence[str],
    seed: int,
    classes: Sequence[frozenset[int]] | None = None,
    smallest: int = 1,
) -> list[int]:
    """Draw an order of images.

    With ``classes``, the first ``smallest`` images hold every class if any choice of so
    many images does: of 64 random orders the first that does, else one that starts with
    a :func:`cover` of the classes.

    Args:
        names: Names of the images, each once.
        seed: The same seed gives the same order of the same names.
        classes: Class ids that occur in each image; None: any order.
        smallest: Images in the smallest split.

    Returns:
        Indices into ``names``.
    """
    orders = (_shuffled(names, seed, draw) for draw in range(_DRAWS))
    first = next(orders)
    if classes is None:
        return first
    wanted = frozenset().union(*classes)
    order: list[int] | None = first
    while order is not None:
        if wanted == frozenset().union(*(classes[i] for i in order[:smallest])):
            return order
        order = next(orders, None)
    chosen = cover([classes[i] for i in first], smallest)
    head = [first[i] for i in chosen]
    return head + [i for i in first if i not in set(head)]


def cover(classes: Sequence[frozenset[int]], at_most: int) -> list[int]:
    """Find few images that hold all classes.

    A depth-first search over the images of the rarest class that is still missing,
    those that add most first.

    Args:
        classes: Class ids that occur in each image.
        at_most: Most images that may be chosen.

    Returns:
        Indices of the images, at most ``at_most``.  Where no such choice holds all
        classes, or none was found in 50,000 steps, each image adds as many classes to
        those before it as any does.
    """
    holders = Counter(label for one in classes for label in one)
    most = max(map(len, classes))
    steps = 0

    def search(chosen: list[int], missing: frozenset[int]) -> list[int] | None:
        nonlocal steps
        steps += 1
        if not missing:
            return chosen
        if len(missing) > most * (at_most - len(chosen)) or steps > _STEPS:
            return None
        rarest = min(missing, key=lambda label: (holders[label], label))
        gains: dict[frozenset[int], int] = {}
        for index, one in enumerate(classes):
            if rarest in one:
                gains.setdefault(one & missing, index)
        for gain, index in sorted(gains.items(), key=lambda item: -len(item[0])):
            found = search([*chosen, index], missing - gain)
            if found is not None:
                return found
        return None

    found = search([], frozenset(holders))
    return _greedy(classes, at_most) if found is None else found


def _greedy(classes: Sequence[frozenset[int]], at_most: int) -> list[int]:
    """Choose images that add most classes, one after the other."""
    chosen: list[int] = []
    missing = frozenset().union(*classes)
    while missing and len(chosen) < at_most:
        best = max(range(len(classes)), key=lambda index: len(classes[index] & missing))
        chosen.append(best)
        missing -= classes[best]
    return chosen


def _shuffled(names: Sequence[str], seed: int, draw: int) -> list[int]:
    """Sort images by a digest of the seed, the number of the draw and the name."""

    def key(index: int) -> tuple[bytes, str]:
        text = f'{seed}/{draw}/{names[index]}'
        return hashlib.sha256(text.encode(errors='surrogateescape')).digest(), text

    return sorted(range(len(names)), key=key)
