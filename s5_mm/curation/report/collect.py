"""What a report says: one pass over the manifest, and the numbers it gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from s5_mm.io.crop_tables.parquet import ManifestError
from s5_mm.io.crop_tables.run_names import MANIFEST_FILE

from . import summary
from .leakage_tables import Duplicates, Matches
from .picks import Picks
from .run_checks import CutCheck, find_problems
from .run_record import RunRecord
from .source_totals import count_sources
from .table_batches import iterate, open_manifest
from .tally import COLUMNS, Key, Tally

_TYPICAL_CROPS = 96


class Pass(NamedTuple):
    """What one pass over the manifest gives.

    Attributes:
        tally: Counts, histograms and means.
        counts: Crops by kind.
        picks: The crops to show.
        cuts: float32, (M,), NaN where nothing was taken.
        beyond_cut: Selected crops beyond the cut of their cluster.
    """

    tally: Tally
    counts: dict[Key, int]
    picks: Picks
    cuts: np.ndarray
    beyond_cut: int


def read_manifest(record: RunRecord, matches: Matches, duplicates: Duplicates) -> Pass:
    """Read the manifest once and tell everyone of every batch.

    Raises:
        ManifestError: If the manifest lacks a column, or has a decision or a cluster
            that is not one of the run's.
    """
    path = record.folder / MANIFEST_FILE
    schema = open_manifest(path, COLUMNS).schema_arrow
    num_classes = schema.field('class_areas').type.list_size
    cuts = record.cuts()
    tally = Tally(num_classes, len(cuts), str(path))
    picks = Picks(cuts, max(1, min(6, _TYPICAL_CROPS // len(cuts))))
    check = CutCheck(cuts)
    for first, batch in iterate(path, COLUMNS):
        rows = tally.add(batch)
        picks.add(rows, first)
        check.add(rows)
        matches.watch.add(rows, first)
        duplicates.watch.add(rows, first)
    if len(tally.pool) > len(cuts):
        raise ManifestError(
            f'{path}: cluster {len(tally.pool) - 1} found, the prototypes and quotas '
            f'are of {len(cuts)} clusters'
        )
    return Pass(tally, tally.counts(), picks, cuts, check.beyond)


def summarise(
    record: RunRecord,
    found: Pass,
    matches: Matches,
    duplicates: Duplicates,
) -> dict[str, Any]:
    """Put all numbers together."""
    counts, tally = found.counts, found.tally
    clusters = summary.clusters(tally, counts, record)
    leaks = matches.table(tally.collections.names)
    return {
        'overview': summary.overview(counts),
        'problems': find_problems(
            counts, clusters, leaks, tally.not_finite, found.beyond_cut
        ),
        'stages': summary.stages(record),
        'has_quotas': any(quota['wanted'] is not None for quota in record.quotas),
        'clusters': clusters,
        'entropy': summary.entropies(tally),
        'means': summary.means(tally, counts),
        'class_areas': summary.class_areas(tally, counts, record.classes),
        'collections': summary.collections(counts),
        'sources': count_sources(record.folder),
        'leaks': leaks,
        'duplicates': {'sizes': duplicates.sizes(), 'kept': duplicates.num_kept()},
        'run': {
            'version': record.version,
            'commit': record.commit,
            'benchmarks': sorted(record.benchmarks),
        },
        'hashes': dict(record.hashes),
    }
