"""Select crops by ascending entropy under quotas per cluster (Eq. 2-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .quotas import Quotas, fill_quotas
from .ranking import Crops, by_entropy, find_strategy


@dataclass(frozen=True)
class Selection:
    """Selected crops.

    Attributes:
        chosen: bool (n,), one per row of the table that was selected from.
        ids: Keys of the chosen crops, uint64 (num_selected,), in the order of the rows.
        quotas: Numbers per cluster; None for strategies without quotas.
        available: Crops that may be chosen per cluster, int64 (M,).
        filled: Crops that are chosen per cluster, int64 (M,).
        cut: Highest chosen entropy per cluster, float32 (M,); NaN if none is chosen.
    """

    chosen: np.ndarray
    ids: np.ndarray
    quotas: Quotas | None
    available: np.ndarray
    filled: np.ndarray
    cut: np.ndarray

    def report(self) -> list[dict[str, Any]]:
        """Numbers of every cluster: wanted, available, filled, redistributed, cut."""
        wanted = self.quotas.wanted if self.quotas else [None] * len(self.available)
        return [
            {
                'cluster': m,
                'wanted': want,
                'available': int(self.available[m]),
                'filled': int(self.filled[m]),
                'redistributed': 0 if want is None else int(self.filled[m]) - want,
                'cut': None if np.isnan(self.cut[m]) else float(self.cut[m]),
            }
            for m, want in enumerate(wanted)
        ]


def select(
    crops: Crops,
    counts: Sequence[int],
    num_selected: int,
    strategy: str = 's5',
    policy: str = 'redistribute',
    seed: int = 0,
) -> Selection:
    """Select crops from a table in memory.

    The set of chosen crops depends on the set of crops alone, not on their order.
    Besides the table (15 bytes per crop) it takes some 20 bytes per crop.

    Args:
        crops: The table; crops that are not eligible are ignored.
        counts: N_m^l of Eq. 3, labelled crops of every cluster, (M,).
        num_selected: B^u.
        strategy: A key of :data:`s5_mm.curation.selection.ranking.STRATEGIES`.
        policy: What happens when a cluster runs dry, see
            :data:`s5_mm.io.crop_tables.run_names.QUOTA_POLICIES`.
        seed: Of the random strategies.

    Returns:
        The selection; exactly ``num_selected`` crops, fewer under ``'leave'``.

    Raises:
        ValueError: If no crop may be chosen, a strategy is unknown, a crop has a
            cluster without a prototype or an entropy that is negative or infinite, two
            crops have the same key, or as
            :func:`s5_mm.curation.selection.quotas.fill_quotas`.
    """
    way = find_strategy(strategy)
    may = crops.may_be_chosen()
    _check(crops, may, len(counts))
    groups = np.where(may, crops.cluster if way.quotas else np.int16(0), np.int16(-1))
    sizes = np.bincount(groups[may], minlength=len(counts) if way.quotas else 1)
    quotas = fill_quotas(
        num_selected, counts if way.quotas else [1], sizes.tolist(), policy
    )

    chosen = np.zeros(len(may), bool)
    # A stable sort of 16-bit integers is a radix sort: linear in the rows.
    order = np.argsort(groups, kind='stable')[-int(sizes.sum()) :]
    for rows, number in zip(
        np.split(order, np.cumsum(sizes)[:-1]), quotas.filled, strict=True
    ):
        key = crops.key[rows]
        rank = way.rank(crops.entropy[rows], key, seed)
        chosen[rows[_lowest(rank, key, number)]] = True
    if quotas.rest:  # policy 'best': the lowest entropies of all clusters
        rows = np.flatnonzero(may & ~chosen)
        key = crops.key[rows]
        rank = by_entropy(crops.entropy[rows], key, seed)
        chosen[rows[_lowest(rank, key, quotas.rest)]] = True

    cluster = crops.cluster[chosen]
    filled = np.bincount(cluster, minlength=len(counts))
    cut = np.where(filled > 0, -np.inf, np.nan).astype(np.float32)
    np.maximum.at(cut, cluster, crops.entropy[chosen])
    available = sizes
    if not way.quotas:
        available = np.bincount(crops.cluster[may], minlength=len(counts))
    return Selection(
        chosen,
        crops.key[chosen],
        quotas if way.quotas else None,
        available,
        filled,
        cut,
    )


def _lowest(rank: np.ndarray, key: np.ndarray, number: int) -> np.ndarray:
    """Mark the ``number`` lowest ranks, ties at the cut by key: bool (n,)."""
    if not number:
        return np.zeros(len(rank), bool)
    cut = np.partition(rank, number - 1)[number - 1]
    lowest = rank < cut
    tied = np.flatnonzero(rank == cut)
    tied = tied[np.argsort(key[tied])]
    missing = number - int(lowest.sum())
    if missing < len(tied) and key[tied[missing]] == key[tied[missing - 1]]:
        raise ValueError(
            f'two crops have the key {key[tied[missing]]}, expected each once in a run'
        )
    lowest[tied[:missing]] = True
    return lowest


def _check(crops: Crops, may: np.ndarray, num_clusters: int) -> None:
    """Refuse scores that no selection can be made of."""
    if not may.any():
        unassigned = int((crops.cluster < 0).sum())
        unscored = int((np.isnan(crops.entropy) & (crops.cluster >= 0)).sum())
        raise ValueError(
            f'no crop may be chosen: of {len(may)} crops, {unassigned} have no '
            f'cluster, {unscored} have a cluster but NaN as entropy, '
            f'{len(may) - unassigned - unscored} are excluded'
        )
    worst = int(np.where(may, crops.cluster, -1).argmax())
    if crops.cluster[worst] >= num_clusters:
        raise ValueError(
            f'crop {crops.key[worst]} has cluster {crops.cluster[worst]}, but there '
            f'are {num_clusters} prototypes; score again with these prototypes'
        )
    wrong = may & ((crops.entropy < 0) | np.isinf(crops.entropy))
    if wrong.any():
        worst = int(wrong.argmax())
        raise ValueError(
            f'crop {crops.key[worst]} has the entropy {crops.entropy[worst]}, '
            'expected a finite number of at least 0 nats'
        )
