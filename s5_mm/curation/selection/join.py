"""The stages' tables side by side, a part at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s5_mm.io.atomic import atomic_open
from s5_mm.io.crop_tables.parquet import (
    ManifestError,
    Parts,
    open_table,
    read_table,
    versioned,
)
from s5_mm.io.crop_tables.run_names import (
    DROPPED,
    MANIFEST_FILE,
    REJECTED,
    SELECTED,
    SOURCES_FILE,
    UNSELECTED,
)

from ..work_dir import WorkDir
from .ranking import Crops


def read_part(
    work: WorkDir, name: str, stages: Sequence[str], columns: Sequence[str]
) -> pa.Table:
    """Join columns of several stages for the crops of a part.

    Args:
        work: Directory of the run.
        name: File name of the part.
        stages: Stages whose tables are joined.
        columns: Columns to read, of whichever stage has them.

    Returns:
        ``crop_id`` and the columns, one row a crop.

    Raises:
        ManifestError: If a table is missing, or has other crops than the plan's.
    """
    joined = read_table(work.folder('plan') / name, ['crop_id'])
    for stage in stages:
        path = work.folder(stage) / name
        known = open_table(path).schema_arrow.names
        own = [column for column in known if column in columns]
        table = read_table(path, ['crop_id', *own])
        if not table['crop_id'].equals(joined['crop_id']):
            raise ManifestError(
                f'{path}: has other crops than the plan; do the stage again with '
                f'--redo {stage}'
            )
        for column in own:
            joined = joined.append_column(table.schema.field(column), table[column])
    if missing := set(columns) - set(joined.column_names):
        raise ManifestError(
            f'{work.path}: none of {list(stages)} has {sorted(missing)} for {name}'
        )
    return joined


def scored_crops(work: WorkDir, excluded: np.ndarray | None = None) -> Crops:
    """Read what a selection needs of all parts.

    Args:
        work: Directory of the run.
        excluded: Identifiers that may not be chosen, uint64, sorted.

    Returns:
        The crops in the order of the parts, 15 bytes each.
    """
    if excluded is None:
        excluded = np.zeros(0, np.uint64)
    parts = []
    for name in Parts(work.folder('plan')):
        table = read_part(work, name, ['score'], ('entropy', 'cluster'))
        entropy = table['entropy'].to_numpy().astype(np.float32)  # null becomes NaN
        cluster = pc.fill_null(table['cluster'], -1).to_numpy()
        key = table['crop_id'].to_numpy()
        parts.append(Crops(entropy, cluster, key, ~np.isin(key, excluded)))
    return Crops(*map(np.concatenate, zip(*parts, strict=True)))


def join_manifest(work: WorkDir, reasons: dict[int, str]) -> None:
    """Write the manifest of a run: everything that is known, one row a crop.

    Args:
        work: Directory of the run; all stages up to ``check`` are done.
        reasons: By identifier, why a crop was dropped.
    """
    with atomic_open(work.path / MANIFEST_FILE) as file:
        _write_parts(file, work, reasons)


def _write_parts(file: BinaryIO, work: WorkDir, reasons: dict[int, str]) -> None:
    """Write the parts one after another, a row group each."""
    sources = read_table(work.folder('plan') / SOURCES_FILE)
    dropped = pa.table(
        {
            'crop_id': pa.array(reasons, pa.uint64()),
            'dropped': pa.array(reasons.values(), pa.string()),
        }
    ).sort_by('crop_id')
    writer = None
    try:
        for name in Parts(work.folder('plan')):
            table = _manifest_part(work, name, sources, dropped)
            if writer is None:
                schema = versioned(table.schema)
                writer = pq.ParquetWriter(file, schema, compression='zstd')
            writer.write_table(table.replace_schema_metadata(writer.schema.metadata))
    finally:
        if writer is not None:
            writer.close()


def _manifest_part(
    work: WorkDir, name: str, sources: pa.Table, dropped: pa.Table
) -> pa.Table:
    """Join the stages of a part and say what became of its crops."""
    plan = read_table(work.folder('plan') / name)
    table = pa.table(
        {
            'crop_id': plan['crop_id'],
            'collection': pc.take(
                sources['collection'], plan['source']
            ).dictionary_encode(),
            'path': pc.take(sources['path'], plan['source']),
            **{key: plan[key] for key in ('x', 'y', 'width', 'height')},
        }
    )
    scan, score, check = (
        read_table(work.folder(stage) / name) for stage in ('scan', 'score', 'check')
    )
    for other in (scan, score, check):
        for field in other.schema:
            if field.name not in ('crop_id', 'chosen'):
                table = table.append_column(field, other[field.name])
    chosen = check['chosen']
    rejected = table['rejected']
    place = pc.index_in(table['crop_id'], dropped['crop_id'])
    why = pc.take(dropped['dropped'], place)
    passed = pc.equal(rejected, '')
    decision = pc.case_when(
        pc.make_struct(chosen, pc.is_valid(why), pc.invert(passed)),
        SELECTED,
        DROPPED,
        REJECTED,
        UNSELECTED,
    )
    reason = pc.coalesce(why, rejected)
    table = table.append_column('decision', decision.dictionary_encode())
    return table.append_column('reason', reason)
