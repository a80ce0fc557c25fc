"""Passes over a table of scored crops that is never held, checked as it goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from .ranking import Crops

# Rows of one step: the temporaries of a step are what a selection needs beside its
# table, and they should fit into a processor's cache.
_STEP = 2**18


class Passes:
    """The crops of a table that may be chosen; every iteration is a pass over it.

    Args:
        tables: Called for every pass; gives the crops batch by batch, in batches of any
            size.
        num_clusters: M, number of prototypes.
    """

    def __init__(
        self, tables: Callable[[], Iterable[Crops]], num_clusters: int
    ) -> None:
        self._tables, self._num_clusters = tables, num_clusters
        self._num_crops: int | None = None

    def __iter__(self) -> Iterator[Crops]:
        """Pass over the table.

        Yields:
            Crops that may be chosen, at most 2^18 at a time, ``eligible`` left out.

        Raises:
            ValueError: If the columns of a batch have different lengths, a crop has a
                cluster without a prototype or an entropy that is negative or infinite,
                or the table has other crops than in the first pass.
        """
        count = 0
        for table in self._tables():
            for _, crops in steps(table):
                self._check(crops)
                count += len(crops.key)
                yield crops
        if self._num_crops is None:
            self._num_crops = count
        elif count != self._num_crops:
            raise ValueError(
                f'a pass over the scores gave {count} crops that may be chosen, the '
                f'first one {self._num_crops}; expected the same crops in every pass'
            )

    def why_none(self) -> str:
        """Tell how many crops cannot be chosen for what reason."""
        rows = unassigned = unscored = 0
        for table in self._tables():
            none = np.asarray(table.cluster) < 0
            rows += len(none)
            unassigned += int(none.sum())
            unscored += int((np.isnan(table.entropy) & ~none).sum())
        return (
            f'of {rows} crops, {unassigned} have no cluster, {unscored} have a cluster '
            f'but NaN as entropy, {rows - unassigned - unscored} are excluded'
        )

    def _check(self, crops: Crops) -> None:
        """Refuse numbers that no selection can be made of."""
        if not len(crops.key):
            return
        worst = int(crops.cluster.argmax())
        if crops.cluster[worst] >= self._num_clusters:
            raise ValueError(
                f'crop {crops.key[worst]} has cluster {crops.cluster[worst]}, but '
                f'there are {self._num_clusters} prototypes; score again with these '
                'prototypes'
            )
        if crops.entropy.min() < 0 or crops.entropy.max() == np.inf:
            wrong = (crops.entropy < 0) | np.isinf(crops.entropy)
            worst = int(wrong.argmax())
            raise ValueError(
                f'crop {crops.key[worst]} has the entropy {crops.entropy[worst]}, '
                'expected a finite number of at least 0 nats'
            )


def steps(table: Crops) -> Iterator[tuple[np.ndarray, Crops]]:
    """Pass over a table in memory.

    Args:
        table: The crops.

    Yields:
        Rows of crops that may be chosen, int64 (n,), and these crops, at most 2^18 at a
        time, ``eligible`` left out.

    Raises:
        ValueError: If the columns have different lengths.
    """
    lengths = {
        name: len(column)
        for name, column in table._asdict().items()
        if column is not None
    }
    if len(set(lengths.values())) > 1:
        raise ValueError(f'columns of scores have the lengths {lengths}, expected one')
    for start in range(0, len(table.key), _STEP):
        part = Crops(*(c if c is None else c[start : start + _STEP] for c in table))
        rows = np.flatnonzero(part.may_be_chosen())
        whole = len(rows) == len(part.key)
        yield start + rows, Crops(*(c if whole else c[rows] for c in part[:3]))
