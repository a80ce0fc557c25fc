"""The numbers of a report, as they stand in ``report.json``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s5_mm.io.crop_tables.run_names import DECISIONS

from .run_record import QUOTA_KEYS, RunRecord
from .tally import Key, Tally

_QUANTILES = (0.05, 0.5, 0.95)


def overview(counts: Mapping[Key, int]) -> dict[str, Any]:
    """Count crops by decision and by reason.

    Args:
        counts: Of :meth:`s5_mm.curation.report.tally.Tally.counts`.

    Returns:
        ``planned``, ``scored``, the decisions, and ``reasons``: by decision and
        reason the crops, of decisions that have reasons.
    """
    found: dict[str, Any] = {'planned': sum(counts.values())}
    found['scored'] = sum(n for key, n in counts.items() if key.scored)
    reasons: dict[str, dict[str, int]] = {}
    for decision in DECISIONS:
        own = {key: n for key, n in counts.items() if key.decision == decision}
        found[decision] = sum(own.values())
        by_reason: dict[str, int] = defaultdict(int)
        for key, n in own.items():
            by_reason[key.reason] += n
        if any(by_reason):
            reasons[decision] = dict(by_reason)
    found['reasons'] = reasons
    return found


def clusters(
    tally: Tally, counts: Mapping[Key, int], record: RunRecord
) -> list[dict[str, Any]]:
    """Describe the clusters.

    Args:
        tally: Of the manifest.
        counts: Of the tally.
        record: The run.

    Returns:
        A dict per cluster: ``labelled``, the quota, ``cut``, ``scored``, ``selected``,
        ``dropped``, and the median entropies of the scored and of the selected in
        nats, to within a bin.
    """
    num_clusters = len(record.quotas)
    kinds: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(num_clusters, np.int64))
    for key, n in counts.items():
        if key.cluster >= 0:
            kinds[key.decision][key.cluster] += n
            kinds['scored'][key.cluster] += n if key.scored else 0
    rows = []
    for m, quota in enumerate(record.quotas):
        row: dict[str, Any] = {
            'cluster': m,
            'labelled': int(record.labelled[m]),
            **{key: quota[key] for key in (*QUOTA_KEYS, 'cut')},
            **{key: int(kinds[key][m]) for key in ('scored', 'selected', 'dropped')},
        }
        for name in ('pool', 'selected'):
            found = quantiles(getattr(tally, name)[m], tally.bin_edges, (0.5,))
            row[f'median_{name}'] = found and found[0]
        rows.append(row)
    return rows


def collections(counts: Mapping[Key, int]) -> list[dict[str, Any]]:
    """Count the crops of every collection, by decision and scored."""
    rows: dict[str, dict[str, Any]] = {}
    for key, n in counts.items():
        names = ('planned', 'scored', *DECISIONS)
        row = rows.setdefault(key.collection, dict.fromkeys(names, 0))
        row['planned'] += n
        row['scored'] += n if key.scored else 0
        row[key.decision] += n
    return [{'collection': name, **rows[name]} for name in sorted(rows)]


def collection_matrices(
    counts: Mapping[Key, int], num_clusters: int, most: int = 40
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Count the crops of every collection in every cluster.

    Args:
        counts: Of the tally.
        num_clusters: M.
        most: Rows; the smallest collections beyond it share the last one.

    Returns:
        Names of the collections; selected and scored crops, int64 (C, M).
    """
    names = sorted({key.collection for key in counts})
    place = {name: row for row, name in enumerate(names)}
    selected, scored = np.zeros((2, len(names), num_clusters), np.int64)
    for key, n in counts.items():
        if key.scored and key.cluster >= 0:
            cell = place[key.collection], key.cluster
            scored[cell] += n
            selected[cell] += n if key.decision == 'selected' else 0
    if len(names) <= most:
        return names, selected, scored
    order = np.argsort(-scored.sum(axis=1), kind='stable')
    kept, others = np.sort(order[: most - 1]), order[most - 1 :]
    folded = (
        np.concatenate([matrix[kept], matrix[others].sum(axis=0, keepdims=True)])
        for matrix in (selected, scored)
    )
    return [*(names[row] for row in kept), f'{len(others)} others'], *folded


def means(tally: Tally, counts: Mapping[Key, int]) -> dict[str, list[float | None]]:
    """Give the means of the figures over the scored and over the selected crops."""
    totals = _totals(counts)
    return {
        name: [_ratio(total, n) for total, n in zip(sums, totals, strict=True)]
        for name, sums in tally.means.items()
    }


def class_areas(
    tally: Tally, counts: Mapping[Key, int], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Give the mean share of every class in the scored and the selected crops."""
    totals = _totals(counts)
    return [
        {
            'class': names[k] if k < len(names) else f'class {k}',
            'scored': _ratio(tally.class_areas[0, k], totals[0]),
            'selected': _ratio(tally.class_areas[1, k], totals[1]),
        }
        for k in range(tally.class_areas.shape[1])
    ]


def entropies(tally: Tally) -> dict[str, Any]:
    """Give quantiles of the entropy in nats, to within a bin, for 5, 50 and 95 %."""
    return {
        name: quantiles(
            getattr(tally, attribute).sum(axis=0), tally.bin_edges, _QUANTILES
        )
        for name, attribute in (('scored', 'pool'), ('selected', 'selected'))
    }


def quantiles(
    histogram: np.ndarray, edges: np.ndarray, shares: tuple[float, ...]
) -> list[float] | None:
    """Read quantiles off a histogram.

    Args:
        histogram: int64, (bins,).
        edges: float64, (bins + 1,).
        shares: Which, in (0, 1).

    Returns:
        The middles of the bins that hold them; None if the histogram is empty.
    """
    total = np.cumsum(histogram)
    if not total[-1]:
        return None
    bins = np.searchsorted(total, np.ceil(np.array(shares) * total[-1]))
    return [float(edges[b] + edges[b + 1]) / 2 for b in bins.tolist()]


def stages(record: RunRecord) -> list[dict[str, Any]]:
    """Add rates to the stages: items a second, of all workers and of one."""
    rows = []
    for stage in record.stages:
        rate = _ratio(stage['items'], stage['seconds'])
        own = None if rate is None else _ratio(rate, stage['workers'])
        rows.append({**stage, 'items_per_second': rate, 'of_one_worker': own})
    return rows


def _totals(counts: Mapping[Key, int]) -> tuple[int, int]:
    """Count the scored crops and those of them that are selected."""
    scored = sum(n for key, n in counts.items() if key.scored)
    chosen = sum(
        n for key, n in counts.items() if key.scored and key.decision == 'selected'
    )
    return scored, chosen


def _ratio(value: float, of: float) -> float | None:
    """Divide, or give None for nothing."""
    return float(value) / of if of else None
