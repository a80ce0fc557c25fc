"""Stage ``report``: one page that says what was done, and why."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from mmengine.config import Config

from s5_mm.io.atomic import write_json
from s5_mm.io.crop_tables.run_names import (
    MANIFEST_FILE,
    PROTOTYPES_FILE,
    QUOTAS_FILE,
    RUN_FILE,
    SOURCES_FILE,
    STAGES_FILE,
)
from s5_mm.io.hashing import file_sha256
from s5_mm.utils.commit import checkout_commit
from s5_mm.version import __version__

from ..overlap.benchmarks import Benchmarks
from ..overlap.provenance import Provenance
from ..report import RunRecord, write_report
from ..scoring.prototypes_file import load_prototypes
from ..stage import Stage
from ..work_dir import before


class ReportStage(Stage):
    """Writes what was done into one page."""

    name = 'report'
    needs = ('check',)
    unit = 'page'

    @property
    def workers(self) -> int:
        """One process."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return the config's section."""
        return self.curation.settings['report']

    def make(self) -> dict[str, Any]:
        """Write the record of the run, then the page."""
        record, work = self.record(), self.curation.work.path
        write_json(work / RUN_FILE, record.identity())
        write_json(work / STAGES_FILE, record.stages)
        write_report(record, self.folder, **self.settings())
        return {'items': 1}

    def record(self) -> RunRecord:
        """Return what the page says of the run beside its tables.

        Raises:
            PrototypesError: If the prototypes are missing or damaged.
        """
        settings, work = self.curation.settings, self.curation.work
        config = Config.fromfile(settings['scorer']['config'], format_python_code=False)
        metainfo = config.test_dataloader.dataset.get('metainfo', {})
        benchmarks = Benchmarks(settings['check']['benchmarks'])
        stages = [work.record(stage) for stage in before(self.name)]
        return RunRecord(
            folder=work.path,
            version=__version__,
            commit=checkout_commit(),
            config=settings.text,
            hashes={
                'manifest': file_sha256(work.path / MANIFEST_FILE),
                'sources': file_sha256(work.folder('plan') / SOURCES_FILE),
                'checkpoint': work.record('cluster')['settings']['checkpoint'],
            },
            classes=list(metainfo.get('classes', ())),
            collections={c.name: c.root for c in settings.collections},
            benchmarks=benchmarks.roots(),
            crop_size=settings.grid.size,
            stages=[
                {key: stage[key] for key in ('stage', 'seconds', 'items', 'workers')}
                for stage in stages
            ],
            quotas=json.loads((work.folder('check') / QUOTAS_FILE).read_text()),
            labelled=load_prototypes(work.folder('cluster') / PROTOTYPES_FILE).counts,
            eval_file=partial(benchmarks.file, Provenance(settings.provenance, {})),
        )
