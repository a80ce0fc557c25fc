"""Divide pairs into those for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OWN_SPLITS = ('train', 'val', 'test')
# Draws of which the best is taken; few images of rare classes need some.
_DRAWS = 64


def draw_split(
    names: Sequence[str],
    classes: Sequence[set[int]],
    shares: Sequence[float],
    seed: int = 0,
) -> dict[str, tuple[str, ...]]:
    """Draw a split in which, if possible, every class occurs in every part.

    Args:
        names: Names of the pairs.
        classes: Class ids that occur in each.
        shares: Shares of training, validation and, if there are three, test.
        seed: The same seed gives the same split of the same names.

    Returns:
        Names by split, sorted.

    Raises:
        ValueError: If the shares are not two or three positive numbers, or there are
            fewer pairs than parts.
    """
    if len(shares) not in (2, 3) or min(shares) <= 0:
        raise ValueError(
            f'--split {" ".join(map(str, shares))}; expected the shares of training, '
            'validation and, if wanted, test, e.g. --split 80 20'
        )
    if len(names) < len(shares):
        raise ValueError(
            f'{len(names)} image(s) with masks; expected at least {len(shares)}: '
            f'{", ".join(OWN_SPLITS[: len(shares)])} need one each, and more are better'
        )
    generator = np.random.default_rng(seed)
    held_out = [max(1, round(len(names) * share / sum(shares))) for share in shares[1:]]
    while len(names) - sum(held_out) < 1:
        held_out[int(np.argmax(held_out))] -= 1
    sizes = [len(names) - sum(held_out), *held_out]
    best: tuple[tuple[int, ...], list[np.ndarray]] | None = None
    for _ in range(_DRAWS):
        order = generator.permutation(len(names))
        parts = np.split(order, np.cumsum(sizes)[:-1])
        covered = tuple(len(set().union(*(classes[i] for i in p))) for p in parts)
        if best is None or covered > best[0]:
            best = covered, parts
    assert best is not None
    return {
        split: tuple(sorted(names[i] for i in part))
        for split, part in zip(OWN_SPLITS, best[1], strict=False)
    }
