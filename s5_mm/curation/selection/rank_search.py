"""The crop at a given place of an order, without sorting and without holding the crops.

A search by digits, the highest first: count the crops by the leading bits of their
rank, find the bin in which the wanted place lies, and look only into that bin in the
next pass; when what lies in the bins is little enough, it is collected and sorted.  A
table of any size is passed over two or three times and never held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .ranking import Rank

Groups = np.ndarray
Batches = Callable[[], Iterable[tuple[Groups, Rank]]]

# 8 MB of counts, whatever the number of groups, and 50 MB for what is collected; a crop
# costs as much to sort as in several passes.
_MAX_BINS = 2**20
_MAX_COLLECTED = 2**20
_TOP = np.uint64(2**64 - 1)


class Cuts:
    """The last rank that is chosen, for every group.

    Attributes:
        high: uint64 (groups,).
        low: uint64 (groups,).
        some: bool (groups,), whether anything is chosen of a group.
    """

    def __init__(self, groups: int) -> None:
        self.high = np.full(groups, _TOP)
        self.low = np.full(groups, _TOP)
        self.some = np.ones(groups, bool)

    def chosen(self, groups: Groups, rank: Rank) -> np.ndarray:
        """Tell which crops are chosen.

        Args:
            groups: Group of each crop, (n,).
            rank: Their ranks, (n,).

        Returns:
            bool (n,).
        """
        high = self.high[groups]
        chosen = rank.high < high
        at = np.flatnonzero(rank.high == high)
        chosen[at] = rank.low[at] <= self.low[groups[at]]
        return chosen if self.some.all() else chosen & self.some[groups]


def find_cuts(
    batches: Batches, wanted: np.ndarray, available: np.ndarray, high_bits: int
) -> Cuts:
    """Find where to cut the order of every group.

    Args:
        batches: Called for every pass; gives groups and ranks of crops, batch by batch.
        wanted: Crops to choose of each group, int64 (groups,).
        available: Crops that each group has.
        high_bits: Bits of ``Rank.high`` that are used; all of ``Rank.low`` are.

    Returns:
        The cuts: exactly ``wanted`` crops of each group are at or before them.

    Raises:
        ValueError: If two crops have the same rank, so that no cut separates them.
    """
    cuts = Cuts(len(wanted))
    cuts.some = np.asarray(wanted) > 0
    searched = cuts.some & (np.asarray(wanted) < np.asarray(available))
    if not searched.any():
        return cuts
    search = _Search(np.asarray(wanted), np.asarray(available), searched, high_bits)
    while search.inside > _MAX_COLLECTED and search.bits_left:
        search.narrow(batches)
    search.finish(batches, cuts)
    return cuts


class _Search:
    """State of the search: for each group a prefix and the place behind it."""

    def __init__(
        self,
        wanted: np.ndarray,
        available: np.ndarray,
        searched: np.ndarray,
        high_bits: int,
    ) -> None:
        self.searched = searched
        self.place = np.where(searched, wanted, 0).astype(np.int64)
        self.inside = int(available[searched].sum())
        self.high = np.zeros(len(wanted), np.uint64)
        self.low = np.zeros(len(wanted), np.uint64)
        # Bits of the two words that the prefix does not fix yet.
        self.high_bits = self.high_left = high_bits
        self.low_left = 64
        self.width = max(int(_MAX_BINS // len(wanted)).bit_length() - 1, 1)

    @property
    def bits_left(self) -> int:
        """Bits that the prefixes do not fix yet."""
        return self.high_left + self.low_left

    def narrow(self, batches: Batches) -> None:
        """Pass over the crops and fix some more bits."""
        in_high = self.high_left > 0
        left = self.high_left if in_high else self.low_left
        width = min(self.width, left)
        shift, mask = np.uint64(left - width), np.uint64(2**width - 1)
        counts = np.zeros(len(self.place) << width, np.int64)
        for groups, rank in batches():
            groups, rank = self._inside(groups, rank)
            word = rank.high if in_high else rank.low
            digit = ((word >> shift) & mask).astype(np.int64)
            counts += np.bincount(
                (groups.astype(np.int64) << width) + digit, minlength=len(counts)
            )
        counts = counts.reshape(len(self.place), -1)
        ends = counts.cumsum(1)
        digit = (ends < self.place[:, None]).sum(1)
        digit = np.where(self.searched, digit, 0)
        rows = np.arange(len(digit))
        self.place -= np.where(self.searched, (ends - counts)[rows, digit], 0)
        self.inside = int(counts[rows, digit][self.searched].sum())
        word = self.high if in_high else self.low
        word |= digit.astype(np.uint64) << shift
        if in_high:
            self.high_left -= width
        else:
            self.low_left -= width

    def finish(self, batches: Batches, cuts: Cuts) -> None:
        """Collect what is inside of the prefixes, sort it and take the places."""
        found = [self._inside(groups, rank) for groups, rank in batches()]
        groups = np.concatenate([pair[0] for pair in found])
        high = np.concatenate([pair[1].high for pair in found])
        low = np.concatenate([pair[1].low for pair in found])
        del found
        order = np.lexsort((low, high, groups))
        ends = np.bincount(groups, minlength=len(self.place)).cumsum()
        starts = np.concatenate([[0], ends[:-1]])
        for group in np.flatnonzero(self.searched):
            place = starts[group] + self.place[group]
            last = order[place - 1]
            cuts.high[group], cuts.low[group] = high[last], low[last]
            if place < ends[group]:
                behind = order[place]
                if (high[behind], low[behind]) == (high[last], low[last]):
                    raise ValueError(
                        'two crops have the same key, expected each once in a run '
                        f'(rank {int(high[last])}, key {int(low[last])})'
                    )

    def _inside(self, groups: Groups, rank: Rank) -> tuple[Groups, Rank]:
        """Keep the crops whose ranks begin with the prefix of their group."""
        high_left, low_left = np.uint64(self.high_left), np.uint64(self.low_left)
        if self.high_left == self.high_bits and self.searched.all():
            return groups, rank
        keep = self.searched[groups]
        if self.high_left < self.high_bits:
            keep &= (rank.high >> high_left) == (self.high >> high_left)[groups]
        if self.low_left < 64:
            keep &= (rank.low >> low_left) == (self.low >> low_left)[groups]
        rows = np.flatnonzero(keep)  # once for three columns
        return groups[rows], Rank(rank.high[rows], rank.low[rows])
