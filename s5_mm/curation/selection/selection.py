"""Stage ``select``: ascending entropy under quotas (Eq. 2-3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .quotas import Quotas, fill_quotas
from .rank_search import Cuts, Groups, find_cuts
from .ranking import Crops, Rank, Strategy, by_entropy, find_strategy
from .streaming import Passes, steps


class Selection:
    """Which crops are chosen: a rank for each cluster, so it needs no list.

    Attributes:
        quotas: Numbers by cluster; None for strategies without quotas.
        available: Crops that could be chosen, by cluster.
        filled: Crops that are chosen, by cluster.
        cut: Highest entropy that is chosen, by cluster, float32; NaN if none is.
    """

    def __init__(self, strategy: Strategy, seed: int, num_clusters: int) -> None:
        self._strategy, self._seed = strategy, seed
        self._cuts: list[Cuts] = []
        self.quotas: Quotas | None = None
        self.available = np.zeros(num_clusters, np.int64)
        self.filled = np.zeros(num_clusters, np.int64)
        self.cut = np.full(num_clusters, np.nan, np.float32)

    def __call__(self, crops: Crops) -> np.ndarray:
        """Tell which crops are chosen.

        Args:
            crops: Crops of the table that was selected from.

        Returns:
            bool (n,).

        Raises:
            ValueError: If the columns have different lengths.
        """
        chosen = np.zeros(len(crops.key), bool)
        for rows, some in steps(crops):
            chosen[rows] = self._chosen(some)
        return chosen

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

    def _groups(self, crops: Crops) -> Groups:
        """Clusters where they have quotas, else one group."""
        if self._strategy.quotas:
            return np.asarray(crops.cluster, np.int32)
        return np.zeros(len(crops.cluster), np.int32)

    def _chosen(self, crops: Crops) -> np.ndarray:
        """Apply the cuts to crops that may be chosen."""
        chosen = np.zeros(len(crops.key), bool)
        if self._cuts:
            rank = self._strategy.rank(crops, self._seed)
            chosen |= self._cuts[0].chosen(self._groups(crops), rank)
        if len(self._cuts) > 1:  # the rest, from anywhere
            everywhere = np.zeros(len(crops.key), np.int32)
            chosen |= self._cuts[1].chosen(everywhere, by_entropy(crops, 0))
        return chosen


def select(
    tables: Callable[[], Iterable[Crops]],
    counts: Sequence[int],
    num_selected: int,
    strategy: str = 's5',
    policy: str = 'redistribute',
    seed: int = 0,
) -> Selection:
    """Select crops of a table that need not fit into memory.

    The result depends on the set of crops alone: not on their order, nor on how they
    are cut into batches.

    Args:
        tables: Called for every pass over the crops, three times or more; gives them
            batch by batch, the same ones every time.  Crops that are not eligible take
            no part, as if they were not in the table.
        counts: N_m^l of Eq. 3, labelled crops of every cluster, (M,).
        num_selected: B^u.
        strategy: Name of one of :data:`s5_mm.curation.selection.ranking.STRATEGIES`.
        policy: What happens when a cluster runs dry, see
            :data:`s5_mm.io.crop_tables.run_names.QUOTA_POLICIES`.
        seed: Of the strategies that draw.

    Returns:
        The selection; exactly ``num_selected`` crops, fewer under ``'leave'``.

    Raises:
        ValueError: If no crop may be chosen, a strategy is unknown, two crops have one
            key, or as :class:`s5_mm.curation.selection.streaming.Passes` and
            :func:`s5_mm.curation.selection.quotas.fill_quotas`.
    """
    way = find_strategy(strategy)
    selection = Selection(way, seed, len(counts))

    crops = Passes(tables, len(counts))
    for some in crops:
        selection.available += np.bincount(some.cluster, minlength=len(counts))
    if not selection.available.any():
        raise ValueError(f'no crop may be chosen: {crops.why_none()}')

    def ranks() -> Iterator[tuple[Groups, Rank]]:
        for some in crops:
            yield selection._groups(some), way.rank(some, seed)

    available = selection.available
    if way.quotas:
        selection.quotas = fill_quotas(num_selected, counts, available.tolist(), policy)
        wanted = np.array(selection.quotas.filled)
    else:
        available = available.sum(keepdims=True)
        whole = fill_quotas(num_selected, [1], available.tolist(), policy)
        wanted = np.array(whole.filled)
    selection._cuts = [find_cuts(ranks, wanted, available, way.bits)]
    if selection.quotas and selection.quotas.rest:
        selection._cuts.append(_cut_rest(selection, crops))
    for some in crops:
        _count(selection, some)
    return selection


def _cut_rest(selection: Selection, crops: Iterable[Crops]) -> Cuts:
    """Find the lowest entropies among what the quotas have left."""

    def left() -> Iterator[tuple[Groups, Rank]]:
        for some in crops:
            index = np.flatnonzero(~selection._chosen(some))
            rest = Crops(*(column[index] for column in some[:3]))
            yield np.zeros(len(index), np.int32), by_entropy(rest, 0)

    rest = selection.quotas.rest if selection.quotas else 0
    unused = int(selection.available.sum()) - sum(selection.quotas.filled)
    return find_cuts(left, np.array([rest]), np.array([unused]), 32)


def _count(selection: Selection, crops: Crops) -> None:
    """Count what is chosen, and find the highest entropy of it."""
    index = np.flatnonzero(selection._chosen(crops))
    cluster, entropy = crops.cluster[index], crops.entropy[index]
    selection.filled += np.bincount(cluster, minlength=len(selection.filled))
    highest = np.full(len(selection.cut), -np.inf, np.float32)
    np.maximum.at(highest, cluster, entropy)
    selection.cut = np.fmax(selection.cut, np.where(highest < 0, np.nan, highest))
