"""What a report says: one pass over the manifest, and the numbers it gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from s5_mm.io.crop_tables.run_names import MANIFEST_FILE
from s5_mm.version import __version__

from . import summary
from .leakage_tables import Duplicates, Matches
from .picks import Picks
from .run_checks import CutCheck, file_hashes, find_problems
from .run_record import ReportError, RunRecord
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


def read_manifest(
    record: RunRecord, matches: Matches | None, duplicates: Duplicates | None
) -> Pass:
    """Read the manifest once and tell everyone of every batch."""
    path = record.folder / MANIFEST_FILE
    schema = open_manifest(path).schema_arrow
    if 'class_areas' not in schema.names:
        raise ReportError(f'{path}: no column class_areas, it has {schema.names}')
    num_classes = getattr(schema.field('class_areas').type, 'list_size', None)
    if num_classes is None:
        raise ReportError(
            f'{path}: class_areas is {schema.field("class_areas").type}, expected a '
            'list of fixed size'
        )
    known = record.num_clusters
    cuts = record.cuts(known)
    tally = Tally(num_classes, known, str(path))
    picks = Picks(cuts, max(1, min(6, _TYPICAL_CROPS // max(known, 1))))
    check = CutCheck(cuts)
    for first, batch in iterate(path, COLUMNS):
        rows = tally.add(batch)
        picks.add(rows, first)
        check.add(rows)
        for other in (matches, duplicates):
            if other is not None:
                other.watch.add(rows, first)
    if len(tally.pool) > known > 0:
        raise ReportError(
            f'{path}: cluster {len(tally.pool) - 1} found, the prototypes and quotas '
            f'are of {known} clusters'
        )
    # Without quotas no cut is known, but the clusters are now.
    cuts = record.cuts(len(tally.pool))
    return Pass(tally, tally.counts(), picks, cuts, check.beyond)


def summarise(
    record: RunRecord,
    found: Pass,
    matches: Matches | None,
    duplicates: Duplicates | None,
) -> dict[str, Any]:
    """Put all numbers together."""
    counts, tally, num_clusters = found.counts, found.tally, len(found.tally.pool)
    hashes = file_hashes(record.folder)
    clusters = summary.clusters(tally, counts, record, num_clusters)
    leaks = None if matches is None else matches.table(tally.collections.names)
    names = record.run.get('classes', [])
    return {
        'report_version': __version__,
        'overview': summary.overview(counts),
        'problems': find_problems(
            record,
            counts,
            clusters,
            leaks or [],
            hashes,
            tally.not_finite,
            found.beyond_cut,
        ),
        'stages': summary.stages(record),
        'has_quotas': any(quota['wanted'] is not None for quota in record.quotas),
        'clusters': clusters,
        'entropy': summary.entropies(tally),
        'means': summary.means(tally, counts),
        'class_areas': summary.class_areas(tally, counts, names),
        'collections': summary.collections(counts),
        'sources': count_sources(record.folder),
        'leaks': leaks,
        'duplicates': duplicates
        and {'sizes': duplicates.sizes(), 'kept': duplicates.num_kept()},
        'run': {key: record.run.get(key) for key in ('version', 'commit')},
        'hashes': {**record.run.get('hashes', {}), **hashes},
    }
