"""Eq. 2-3 in lists, fractions and whole numbers of Python, for comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from s5_mm.curation.selection.ranking import Crops

WORD = 2**64


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Largest remainder: one more at a time for whoever is owed most."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    given = [math.floor(share) for share in exact]
    while sum(given) < total:
        owed = [share - have for share, have in zip(exact, given, strict=True)]
        given[owed.index(max(owed))] += 1
    return given


def mix(word: int) -> int:
    """The finaliser of splitmix64."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


def select_plainly(
    crops: Crops,
    counts: Sequence[int],
    number: int,
    strategy: str,
    policy: str,
    seed: int,
) -> set[int]:
    """Keys that are chosen, by sorting."""
    columns = (column.tolist() for column in crops)
    pool = [
        (entropy, cluster, key)
        for entropy, cluster, key, eligible in zip(*columns, strict=True)
        if eligible and cluster >= 0 and not math.isnan(entropy)
    ]

    def by_entropy(crop):
        return crop[0], crop[2]

    def drawn(crop):
        return mix(crop[2] ^ mix((seed + 1) % WORD))

    order = by_entropy if strategy in ('s5', 'entropy_only') else drawn
    pool.sort(key=order)
    if strategy in ('random', 'entropy_only'):
        return {crop[2] for crop in pool[:number]}
    chosen: set[tuple] = set()

    def take(cluster, most):
        left = [crop for crop in pool if crop[1] == cluster and crop not in chosen]
        chosen.update(left[:most])
        return len(left) - most

    dry = set()
    for cluster, quota in enumerate(shares(number, counts)):
        if take(cluster, quota) <= 0:
            dry.add(cluster)
    while policy == 'redistribute' and len(chosen) < number:
        weights = [0 if m in dry else count for m, count in enumerate(counts)]
        for cluster, share in enumerate(shares(number - len(chosen), weights)):
            if take(cluster, share) <= 0:
                dry.add(cluster)
    if policy == 'best':
        rest = sorted(set(pool) - chosen, key=by_entropy)
        chosen.update(rest[: number - len(chosen)])
    return {crop[2] for crop in chosen}


def draw_crops(
    rng: np.random.Generator, n: int = 300, clusters: int = 5, ties: bool = False
) -> Crops:
    """Crops of uneven clusters, with gaps, some of them with equal entropies.

    Args:
        rng: Draws.
        n: How many.
        clusters: M.
        ties: Draw from six entropies, zeros of both signs and denormals among them.
    """
    few = np.array([-0.0, 0.0, 1e-45, 1e-42, 0.5, 2.7], np.float32)
    entropy = rng.choice(few, n) if ties else rng.random(n, dtype=np.float32)
    entropy[rng.random(n) < 0.05] = np.nan
    weights = 0.4 ** np.arange(clusters)
    cluster = rng.choice(clusters, n, p=weights / weights.sum()).astype(np.int16)
    cluster[rng.random(n) < 0.03] = -1
    key = np.array([mix(int(i)) for i in 1 + rng.choice(10 * n, n, False)], np.uint64)
    key[:2] = 0, WORD - 1
    return Crops(entropy, cluster, key, rng.random(n) < 0.9)
