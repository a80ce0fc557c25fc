"""Stage ``report``: one page that says what was done, and why."""

from __future__ import annotations

from mmengine.config import Config

from s5_mm.io.atomic import write_json
from s5_mm.io.hashing import file_sha256
from s5_mm.utils.commit import checkout_commit
from s5_mm.version import __version__

from ..planning.source_files import SOURCES_FILE
from ..report import write_report
from ..run import CurationRun
from ..selection.join import MANIFEST_FILE
from ..work_dir import before


def run_report(run: CurationRun) -> None:
    """Write what was done into one page."""
    run.work.require('check')
    record = run.work.begin('report', run.settings['report'])
    if record.finished:
        return
    with record.work(workers=1, unit='page', items=1):
        _write_run_record(run)
        write_report(run.work.path, run.folder('report'), **run.settings['report'])


def _write_run_record(run: CurationRun) -> None:
    """Write down beside the manifest what the report says of the run."""
    settings, work = run.settings, run.work
    config = Config.fromfile(settings['scorer']['config'], format_python_code=False)
    metainfo = config.test_dataloader.dataset.get('metainfo', {})
    write_json(
        work.path / 'run.json',
        {
            'version': __version__,
            'commit': checkout_commit(),
            'config': settings.text,
            'hashes': {
                'manifest': file_sha256(work.path / MANIFEST_FILE),
                'sources': file_sha256(run.folder('plan') / SOURCES_FILE),
                'checkpoint': work.record('cluster')['settings']['checkpoint'],
            },
            'classes': list(metainfo.get('classes', ())),
            'collections': {c.name: c.root for c in settings.collections},
            'crop_size': settings.grid.size,
        },
    )
    keys = ('stage', 'seconds', 'items', 'workers')
    records = [work.record(stage) for stage in before('report')]
    write_json(
        work.path / 'stages.json',
        [{key: record[key] for key in keys} for record in records],
    )
