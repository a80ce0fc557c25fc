"""What the check found: crops that match evaluation images, and near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import read_table

from ..overlap.provenance import Origin
from .tally import SELECTED_CODE
from .watch import Watch

_MATCH_COLUMNS = (
    *('crop_id', 'benchmark', 'split', 'eval_image', 'layer', 'distance', 'verdict'),
)
_DUPLICATE_COLUMNS = ('crop_id', 'group', 'kept')
_MAX_PAIRS = 24
_PAIRS_PER_CELL = 3
_MAX_GROUPS = 12
_CROPS_PER_GROUP = 8


class MatchedPair(NamedTuple):
    """A crop and the evaluation image that it matches.

    Attributes:
        row: Number of the crop's row in the manifest.
        origin: The evaluation image.
        layer: Name of the layer that found it.
        distance: In the unit of the layer, 0 for the same.
        verdict: What the policy says.
    """

    row: int
    origin: Origin
    layer: str
    distance: float
    verdict: str


class Matches:
    """``check/matches.parquet``; the matches of a run are few and fit in memory.

    Args:
        table: Its rows.
    """

    def __init__(self, table: pa.Table) -> None:
        columns = {
            name: table[name].cast(pa.string()).fill_null('').to_pylist()
            for name in ('benchmark', 'split', 'eval_image', 'layer', 'verdict')
        }
        self._columns = columns
        self._crop_id = table['crop_id'].to_numpy()
        self._distance = table['distance'].to_numpy().astype(np.float64)
        self.watch = Watch(self._crop_id)

    def table(self, collections: Sequence[str]) -> list[dict[str, Any]]:
        """Count the crops that match.

        Args:
            collections: Names of the collections by their numbers.

        Returns:
            For every collection, benchmark, split, layer and verdict that occurs:
            ``crops``, the distinct crops, and ``selected``, those of them that are
            selected all the same.
        """
        place = self.watch.find(self._crop_id)
        cells: dict[tuple[str, ...], set[int]] = {}
        for i, (where, row) in enumerate(
            zip(place.tolist(), self.watch.row[place].tolist(), strict=True)
        ):
            name = collections[self.watch.collection[where]] if row >= 0 else ''
            key = (name or '(not in the manifest)', *self._kind(i))
            cells.setdefault(key, set()).add(where)
        names = ('collection', 'benchmark', 'split', 'layer', 'verdict')
        counted = []
        for key, crops in sorted(cells.items()):
            chosen = sum(self._is_selected(where) for where in crops)
            cell = dict(zip(names, key, strict=True))
            counted.append({**cell, 'crops': len(crops), 'selected': chosen})
        return counted

    def pairs(self) -> list[MatchedPair]:
        """Choose examples: the closest of every benchmark, split and layer."""
        rows = self.watch.row[self.watch.find(self._crop_id)]
        images = self._columns['eval_image']
        order = sorted(
            np.flatnonzero(rows >= 0).tolist(),
            key=lambda i: (self._distance[i], int(self._crop_id[i]), images[i]),
        )
        taken: dict[tuple[str, ...], int] = {}
        chosen = []
        for i in order:
            benchmark, split, layer, verdict = self._kind(i)
            cell = benchmark, split, layer
            taken[cell] = taken.get(cell, 0) + 1
            if taken[cell] <= _PAIRS_PER_CELL:
                origin = Origin(benchmark, split, images[i])
                distance = float(self._distance[i])
                chosen.append(
                    MatchedPair(int(rows[i]), origin, layer, distance, verdict)
                )
        return sorted(chosen[:_MAX_PAIRS], key=lambda pair: (pair.layer, pair.distance))

    def _kind(self, i: int) -> tuple[str, ...]:
        """Give benchmark, split, layer and verdict of a match."""
        names = ('benchmark', 'split', 'layer', 'verdict')
        return tuple(self._columns[name][i] for name in names)

    def _is_selected(self, where: int) -> bool:
        """Tell whether a watched crop is in the manifest and selected."""
        watch = self.watch
        return bool(watch.row[where] >= 0 and watch.decision[where] == SELECTED_CODE)


class Duplicates:
    """``check/duplicates.parquet``, groups of crops that show the same.

    Args:
        table: Its rows: ``crop_id``, ``group`` and ``kept``, whether the crop stays.
    """

    def __init__(self, table: pa.Table) -> None:
        crop_id, group = (table[name].to_numpy() for name in _DUPLICATE_COLUMNS[:2])
        kept = table['kept'].to_numpy(zero_copy_only=False)
        order = np.lexsort((crop_id, ~kept, group))
        self._crop_id, self._kept = crop_id[order], kept[order]
        starts = np.flatnonzero(np.diff(group[order], prepend=group.min(initial=0) - 1))
        self._bounds = np.append(starts, len(order))
        self.watch = Watch(crop_id)

    def sizes(self) -> list[dict[str, int]]:
        """Count the groups by their size: ``size``, ``groups`` and ``crops``."""
        sizes, counts = np.unique(np.diff(self._bounds), return_counts=True)
        return [
            {'size': size, 'groups': count, 'crops': size * count}
            for size, count in zip(sizes.tolist(), counts.tolist(), strict=True)
        ]

    def num_kept(self) -> int:
        """Number of crops that stay."""
        return int(self._kept.sum())

    def examples(self) -> list[tuple[int, list[int]]]:
        """Choose examples: the largest groups.

        Returns:
            A group each: its size, and the rows of its first crops, kept ones first.
        """
        sizes = np.diff(self._bounds)
        chosen = []
        for group in np.argsort(-sizes, kind='stable')[:_MAX_GROUPS].tolist():
            crops = self._crop_id[self._bounds[group] : self._bounds[group + 1]]
            rows = self.watch.row[self.watch.find(crops[:_CROPS_PER_GROUP])]
            chosen.append((int(sizes[group]), [r for r in rows.tolist() if r >= 0]))
        return chosen


def read_matches(path: Path) -> Matches:
    """Read the matches of a run.

    Args:
        path: The file.

    Returns:
        The matches.

    Raises:
        ManifestError: As :func:`s5_mm.io.crop_tables.parquet.read_table`.
    """
    return Matches(read_table(path, _MATCH_COLUMNS))


def read_duplicates(path: Path) -> Duplicates:
    """Read the groups of near-duplicates; see :func:`read_matches`."""
    return Duplicates(read_table(path, _DUPLICATE_COLUMNS))
