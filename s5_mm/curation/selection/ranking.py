"""Selection strategies: how crops are ranked, and whether clusters have quotas."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from s5_mm.io.hashing import mix64
from s5_mm.utils.argument_checks import check_choice, check_number


class Crops(NamedTuple):
    """Scores of crops, one row per crop.

    Attributes:
        entropy: Eq. 1 in nats, float32 (n,); NaN where there is none.
        cluster: Nearest prototype, integer (n,), below 0 where there is none.
        key: Identifiers, uint64 (n,), unique within a run.
        eligible: bool (n,), whether a crop may be chosen; None: all.
    """

    entropy: np.ndarray
    cluster: np.ndarray
    key: np.ndarray
    eligible: np.ndarray | None = None

    def may_be_chosen(self) -> np.ndarray:
        """Which crops have scores and are eligible, bool (n,)."""
        chosen = (self.cluster >= 0) & ~np.isnan(self.entropy)
        return chosen if self.eligible is None else chosen & self.eligible


class Strategy(NamedTuple):
    """A way to select.

    Attributes:
        rank: Maps entropies, keys and a seed to ranks (n,); the lowest are chosen, ties
            by ascending key.
        quotas: Whether clusters have quotas (Eq. 3), or all crops form one group.
    """

    rank: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    quotas: bool


def by_entropy(entropy: np.ndarray, key: np.ndarray, seed: int) -> np.ndarray:
    """Rank by ascending entropy (Eq. 2).

    Args:
        entropy: float32 (n,).
        key: Not used.
        seed: Not used.

    Returns:
        The entropies.
    """
    return entropy


def by_hash(entropy: np.ndarray, key: np.ndarray, seed: int) -> np.ndarray:
    """Rank in a random order that depends on keys and seed, not on the rows.

    Args:
        entropy: Not used.
        key: uint64 (n,).
        seed: Different seeds give independent orders.

    Returns:
        uint64 (n,), a bijection of the keys.

    Raises:
        ValueError: If the seed is not an integer from 0 to 2^64 - 1.
    """
    check_number('selection.seed', seed, 0, 2**64 - 1, whole=True)
    return mix64(key ^ mix64(np.array([seed], np.uint64) + np.uint64(1)))


STRATEGIES = {
    's5': Strategy(by_entropy, True),
    'entropy_only': Strategy(by_entropy, False),
    'diversity_only': Strategy(by_hash, True),
    'random': Strategy(by_hash, False),
}
"""Rows of the paper's Table 2, by name."""


def find_strategy(name: str) -> Strategy:
    """Look up a strategy.

    Args:
        name: A key of :data:`STRATEGIES`.

    Returns:
        The strategy.

    Raises:
        ValueError: If there is no strategy of this name.
    """
    return STRATEGIES[check_choice('selection.strategy', name, STRATEGIES)]
