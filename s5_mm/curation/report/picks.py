"""Which crops are shown: the extremes and samples of a manifest, from one pass."""

from __future__ import annotations

import numpy as np

from .tally import DROPPED_CODE, REJECTED_CODE, SELECTED_CODE, UNSELECTED_CODE, Rows

NUM_BEST = 24
NUM_OF_REASON = 12


class Smallest:
    """The rows with the smallest keys of every group, whatever the batches.

    Args:
        count: How many of a group.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._group = np.empty(0, np.int64)
        self._key = np.empty(0, np.float64)
        self._crop_id = np.empty(0, np.uint64)
        self._row = np.empty(0, np.int64)
        self._bound = np.empty(0, np.float64)

    def add(
        self, group: np.ndarray, key: np.ndarray, crop_id: np.ndarray, row: np.ndarray
    ) -> None:
        """Take rows into account.

        Args:
            group: int64, (n,), from 0.
            key: float, (n,); equal ones are ordered by the identifier.
            crop_id: uint64, (n,).
            row: int64, (n,), numbers of the rows.
        """
        missing = int(group.max(initial=-1)) + 1 - len(self._bound)
        if missing > 0:
            fill = np.full(missing, np.inf)
            self._bound = np.concatenate([self._bound, fill])
        near = key <= self._bound[group]
        self._group = np.concatenate([self._group, group[near]])
        self._key = np.concatenate([self._key, key[near]])
        self._crop_id = np.concatenate([self._crop_id, crop_id[near]])
        self._row = np.concatenate([self._row, row[near]])
        order = np.lexsort((self._crop_id, self._key, self._group))
        grouped = self._group[order]
        rank = np.arange(len(order)) - np.searchsorted(grouped, grouped)
        order = order[rank < self.count]
        self._group, self._key = self._group[order], self._key[order]
        self._crop_id, self._row = self._crop_id[order], self._row[order]
        full = rank[rank < self.count] == self.count - 1
        self._bound[self._group[full]] = self._key[full]

    def rows(self) -> dict[int, list[int]]:
        """Give the numbers of the rows by group, the smallest key first."""
        found: dict[int, list[int]] = {}
        for group, row in zip(self._group.tolist(), self._row.tolist(), strict=True):
            found.setdefault(group, []).append(row)
        return found


class Picks:
    """The crops of the contact sheets.

    Args:
        cuts: float32, (M,), largest entropy that was taken, NaN where it is not known.
        num_typical: How many typical crops of a cluster.

    Attributes:
        best: Selected crops of the lowest entropy, in the group 0.
        inside: Selected crop of the highest entropy, by cluster.
        outside: Unselected crop of the lowest entropy that is not below the cut.
        typical: Crops most similar to the prototype, selected ones first, by cluster.
        rejected: A sample by number of the reason.
        dropped: A sample by number of the reason.
    """

    def __init__(self, cuts: np.ndarray, num_typical: int) -> None:
        self._cuts = cuts
        self.best = Smallest(NUM_BEST)
        self.inside, self.outside = Smallest(1), Smallest(1)
        self.typical = Smallest(num_typical)
        self.rejected, self.dropped = Smallest(NUM_OF_REASON), Smallest(NUM_OF_REASON)

    def add(self, rows: Rows, first: int) -> None:
        """Take a batch into account.

        Args:
            rows: The batch.
            first: Number of its first row.
        """
        number = np.arange(first, first + len(rows.crop_id))

        def put(
            into: Smallest, mask: np.ndarray, group: np.ndarray, key: np.ndarray
        ) -> None:
            mask = mask & np.isfinite(key) & (group >= 0)
            into.add(group[mask], key[mask], rows.crop_id[mask], number[mask])

        selected = rows.decision == SELECTED_CODE
        cluster, entropy = rows.cluster, rows.entropy
        put(self.best, selected, np.zeros_like(cluster), entropy)
        put(self.inside, selected, cluster, -entropy)
        padded = np.append(self._cuts, np.float32(np.nan))
        cut = padded[np.where(cluster < len(self._cuts), cluster, -1)]
        beyond = (rows.decision == UNSELECTED_CODE) & ~(entropy < cut)
        put(self.outside, beyond, cluster, entropy)
        # A cosine is at most 1: those that were not selected come after all that were.
        put(self.typical, rows.scored, cluster, 4.0 * ~selected - rows.similarity)
        # The identifier is a hash, so its smallest values are a fair sample.
        sample = rows.crop_id.astype(np.float64)
        put(self.rejected, rows.decision == REJECTED_CODE, rows.reason, sample)
        put(self.dropped, rows.decision == DROPPED_CODE, rows.reason, sample)
