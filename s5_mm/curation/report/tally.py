"""Counts, histograms and means of a manifest, from one pass over it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from s5_mm.io.crop_tables.parquet import ManifestError
from s5_mm.io.crop_tables.run_names import DECISIONS

from .table_batches import Codes

SELECTED_CODE, UNSELECTED_CODE, REJECTED_CODE, DROPPED_CODE = range(len(DECISIONS))
MEANS = ('entropy', 'foreground', 'confidence', 'similarity', 'margin')
NUM_BINS = 2048
COLUMNS = (
    *('crop_id', 'collection', 'rejected', 'cluster', *MEANS),
    *('class_areas', 'decision', 'reason'),
)
_MAX_TEXTS = 1024


class Rows(NamedTuple):
    """Some rows of a manifest as arrays of the same length.

    Attributes:
        crop_id: uint64.
        collection: int64, number of the collection.
        reason: int64, number of the reason, of the quality gate or of the decision.
        decision: int64, index into :data:`DECISIONS`.
        cluster: int64, -1 where there is none.
        entropy: float32, NaN where the crop was not scored.
        similarity: float32, NaN where the crop was not scored.
        scored: bool.
    """

    crop_id: np.ndarray
    collection: np.ndarray
    reason: np.ndarray
    decision: np.ndarray
    cluster: np.ndarray
    entropy: np.ndarray
    similarity: np.ndarray
    scored: np.ndarray


class Key(NamedTuple):
    """What rows are counted by; see :class:`Rows`."""

    collection: str
    reason: str
    decision: str
    cluster: int
    scored: bool


class Tally:
    """Adds up batches of a manifest.

    Args:
        num_classes: K.
        num_clusters: M, as far as it is known; more may turn up.
        path: Name of the manifest in errors.

    Attributes:
        bin_edges: float64, (bins + 1,), from 0 to ln K nats, the largest entropy of K
            classes.
        pool: int64, (M, bins), entropies of the scored crops by cluster.
        selected: int64, (M, bins), of those that were selected.
        means: By column of :data:`MEANS`, sums over the scored and over the selected
            crops, float64 (2,).
        class_areas: float64, (2, K), sums likewise.
        not_finite: Scored crops whose entropy is no number.
    """

    def __init__(self, num_classes: int, num_clusters: int, path: str) -> None:
        self.path = path
        self.collections, self.reasons = Codes(_MAX_TEXTS), Codes(_MAX_TEXTS)
        self._decisions = Codes(len(DECISIONS) + 2)
        for name in DECISIONS:
            self._decisions.number(name)
        top = np.log(max(num_classes, 2))
        self.bin_edges = np.linspace(0, top, NUM_BINS + 1)
        self.pool: np.ndarray = np.zeros((num_clusters, NUM_BINS), np.int64)
        self.selected: np.ndarray = np.zeros((num_clusters, NUM_BINS), np.int64)
        self.means = {name: np.zeros(2) for name in MEANS}
        self.class_areas = np.zeros((2, num_classes))
        self.not_finite = 0
        self._counts: Counter[int] = Counter()

    def add(self, batch: pa.RecordBatch) -> Rows:
        """Count a batch.

        Args:
            batch: Rows with :data:`COLUMNS`.

        Returns:
            The rows as arrays.

        Raises:
            ManifestError: If a decision is unknown or a cluster impossible.
        """
        rows = self._decode(batch)
        key = ((rows.collection * _MAX_TEXTS + rows.reason) << 2) + rows.decision
        key = (((key << 1) + rows.scored) << 16) + rows.cluster + 1
        found, counts = np.unique(key, return_counts=True)
        self._counts.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        chosen = rows.scored & (rows.decision == SELECTED_CODE)
        self._add_entropies(rows, chosen)
        for name, sums in self.means.items():
            values = _floats(batch[name])
            for i, mask in enumerate((rows.scored, chosen)):
                sums[i] += np.nansum(values[mask], dtype=np.float64)
        self._add_areas(batch['class_areas'], rows.scored, chosen)
        return rows

    def counts(self) -> dict[Key, int]:
        """Give how many rows there are of every kind, in a fixed order."""
        named = {}
        for key, count in self._counts.items():
            key, cluster = key >> 16, (key & 0xFFFF) - 1
            key, scored = key >> 1, bool(key & 1)
            key, decision = key >> 2, DECISIONS[key & 3]
            collection, reason = divmod(key, _MAX_TEXTS)
            names = self.collections.names[collection], self.reasons.names[reason]
            named[Key(*names, decision, cluster, scored)] = count
        return dict(sorted(named.items()))

    def _decode(self, batch: pa.RecordBatch) -> Rows:
        """Turn the columns of a batch into arrays."""
        reason = self.reasons.encode(batch['reason'])
        gate = self.reasons.encode(batch['rejected'])
        decision = self._decisions.encode(batch['decision'])
        if decision.size and decision.max() >= len(DECISIONS):
            strange = self._decisions.names[decision.max()]
            raise ManifestError(
                f'{self.path}: decision {strange!r} found, allowed are {DECISIONS}'
            )
        cluster = batch['cluster'].fill_null(-1).to_numpy().astype(np.int64)
        if cluster.size and cluster.min() < -1:
            raise ManifestError(f'{self.path}: cluster {cluster.min()} found, below 0')
        return Rows(
            batch['crop_id'].to_numpy(),
            self.collections.encode(batch['collection']),
            np.where(reason == self.reasons.number(''), gate, reason),
            decision,
            cluster,
            _floats(batch['entropy']),
            _floats(batch['similarity']),
            pc.is_valid(batch['entropy']).to_numpy(zero_copy_only=False),
        )

    def _add_entropies(self, rows: Rows, chosen: np.ndarray) -> None:
        """Add the histograms of a batch."""
        finite = np.isfinite(rows.entropy)
        self.not_finite += int((rows.scored & ~finite).sum())
        for name, mask in (('pool', rows.scored), ('selected', chosen)):
            mask = mask & finite & (rows.cluster >= 0)
            cluster = rows.cluster[mask]
            scaled = rows.entropy[mask] * (NUM_BINS / self.bin_edges[-1])
            bins = np.clip(scaled, 0, NUM_BINS - 1).astype(np.int64)
            total = getattr(self, name)
            clusters = max(int(cluster.max(initial=-1)) + 1, len(total))
            own = np.bincount(cluster * NUM_BINS + bins, minlength=clusters * NUM_BINS)
            own = own.reshape(clusters, NUM_BINS)
            own[: len(total)] += total
            setattr(self, name, own)
        # The selected may lie in fewer clusters than the pool.
        missing = len(self.pool) - len(self.selected)
        self.selected = np.pad(self.selected, ((0, missing), (0, 0)))

    def _add_areas(
        self, column: pa.Array, scored: np.ndarray, chosen: np.ndarray
    ) -> None:
        """Add the class areas of a batch."""
        valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
        # flatten() leaves out what is null.
        areas = column.flatten().to_numpy().reshape(-1, self.class_areas.shape[1])
        for i, mask in enumerate((scored, chosen)):
            self.class_areas[i] += areas[mask[valid]].sum(axis=0, dtype=np.float64)


def _floats(column: pa.Array) -> np.ndarray:
    """Give a column of float32 with NaN for null."""
    return column.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
