"""Strategies: by what crops are ranked, and whether clusters have quotas."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from s5_mm.io.hashing import mix64


class Crops(NamedTuple):
    """What a selection needs to know of some crops.

    Attributes:
        entropy: Eq. 1, float32 (n,); NaN where there is none.
        cluster: Nearest prototype, integer (n,), below 0 where there is none.
        key: Identifiers, uint64 (n,), each once in a run.
        eligible: bool (n,), whether a crop may be chosen; None: all.
    """

    entropy: np.ndarray
    cluster: np.ndarray
    key: np.ndarray
    eligible: np.ndarray | None = None

    def may_be_chosen(self) -> np.ndarray:
        """Which crops have numbers and may be chosen, bool (n,)."""
        chosen = (self.cluster >= 0) & ~np.isnan(self.entropy)
        return chosen if self.eligible is None else chosen & self.eligible


class Rank(NamedTuple):
    """Order of crops: by ``high``, then by ``low``, ascending.

    Attributes:
        high: uint64 (n,).
        low: uint64 (n,).
    """

    high: np.ndarray
    low: np.ndarray


class Strategy(NamedTuple):
    """A way to select.

    Attributes:
        rank: Gives the order of some crops for a seed.
        bits: Bits of ``Rank.high`` that are used.
        quotas: Whether clusters have quotas (Eq. 3), or all crops are one.
    """

    rank: Callable[[Crops, int], Rank]
    bits: int
    quotas: bool


def by_entropy(crops: Crops, seed: int) -> Rank:
    """Eq. 2: ascending entropy, ties by the stable key.

    Args:
        crops: The crops; entropies of at least 0, as
            :class:`s5_mm.curation.selection.streaming.Passes` checks.
        seed: Not used.

    Returns:
        Bits of the entropies, which are ordered like the numbers, and the keys.
    """
    entropy = np.asarray(crops.entropy, np.float32)
    # 0.0 - 0.0 and -0.0 + 0.0 are both 0.0, so -0.0 ranks with 0.0.
    bits = (entropy + np.float32(0)).view(np.uint32)
    return Rank(bits.astype(np.uint64), np.asarray(crops.key, np.uint64))


def by_hash(crops: Crops, seed: int) -> Rank:
    """A random order that depends on the keys and the seed, not on the rows.

    Args:
        crops: The crops.
        seed: Other seeds give independent orders.

    Returns:
        A bijection of the keys.

    Raises:
        ValueError: If the seed is not a whole number from 0 to 2^64 - 1.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ValueError(
            f'selection.seed={seed!r}, expected a whole number from 0 to 2**64 - 1'
        )
    start = mix64(np.array([seed], np.uint64) + np.uint64(1))
    high = mix64(np.asarray(crops.key, np.uint64) ^ start)
    return Rank(high, np.zeros_like(high))


STRATEGIES = {
    's5': Strategy(by_entropy, 32, True),
    'entropy_only': Strategy(by_entropy, 32, False),
    'diversity_only': Strategy(by_hash, 64, True),
    'random': Strategy(by_hash, 64, False),
}
"""Rows of the paper's Table 2, by name."""


def find_strategy(name: str) -> Strategy:
    """Look up a strategy.

    Raises:
        ValueError: If there is none of the name.
    """
    if name not in STRATEGIES:
        raise ValueError(f'selection.strategy={name!r}, allowed are {list(STRATEGIES)}')
    return STRATEGIES[name]
