"""Stages ``materialize`` and ``verify``: the chosen pixels, and whether all is well."""

from __future__ import annotations

from typing import Any

from s5_mm.io.crop_tables.parquet import ManifestError, open_table

from ..run import CurationRun
from ..selection.join import MANIFEST_FILE
from ..shards.shard_check import verify_shards
from ..shards.shard_options import ShardOptions
from ..shards.write_shards import materialize

SHARDS = 'shards'
"""Folder of the shards in the directory of a run."""
_SHOWN = 20


def run_materialize(run: CurationRun) -> None:
    """Write the chosen crops into shards."""
    run.work.require('check')
    options = _options(run)
    record = run.work.begin('materialize', options.record())
    if record.finished:
        return
    folder = run.work.path / SHARDS
    with record.work(workers=run.jobs, unit='crops') as results:
        materialize(
            run.work.path / MANIFEST_FILE,
            {c.name: c.root for c in run.settings.collections},
            folder,
            options,
            spool=run.folder('materialize') / 'spool',
            jobs=run.jobs,
            overwrite=True,  # what lies there is of an earlier choice
            progress=run.progress('materialize', 'crops, encoded and put'),
        )
        results['items'] = _num_crops(run)


def run_verify(run: CurationRun) -> None:
    """Compare every member of every shard with its hashes and with the manifest.

    Raises:
        ManifestError: If something is wrong; the first faults are named.
    """
    run.work.require('materialize')
    record = run.work.begin('verify', {})
    if record.finished:
        return
    with record.work(workers=run.jobs, unit='crops', items=_num_crops(run)):
        faults = verify_shards(
            run.work.path / SHARDS,
            run.work.path / MANIFEST_FILE,
            run.jobs,
            run.progress('verify', 'shards'),
        )
        if faults:
            shown = '\n  '.join(faults[:_SHOWN])
            raise ManifestError(
                f'{len(faults)} faults in {run.work.path / SHARDS}, write them again '
                f'with --redo materialize:\n  {shown}'
            )


def _options(run: CurationRun) -> ShardOptions:
    """How shards are written: the config's section, and how crops were scanned."""
    given: dict[str, Any] = run.settings['shards']
    scanned = dict(
        size=run.settings.grid.size,
        small=run.settings.grid.filling,
        high_byte=run.settings['plan']['high_byte'],
    )
    return ShardOptions(**{**given, **scanned})


def _num_crops(run: CurationRun) -> int:
    """Number of crops in the shards."""
    return open_table(run.work.path / SHARDS / 'index.parquet').metadata.num_rows
