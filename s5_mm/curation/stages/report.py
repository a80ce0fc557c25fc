"""Stage ``report``: one page that says what was done, and why."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from s5_mm.io.atomic import write_json
from s5_mm.io.crop_tables.run_names import (
    MANIFEST_FILE,
    RUN_FILE,
    SOURCES_FILE,
    STAGES_FILE,
)
from s5_mm.io.hashing import file_sha256
from s5_mm.utils.commit import checkout_commit
from s5_mm.version import __version__

from ..report import write_report
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
        self._write_run_record()
        write_report(self.curation.work.path, self.folder, **self.settings())
        return {'items': 1}

    def _write_run_record(self) -> None:
        """Write next to the manifest what the page says of the run."""
        settings, work = self.curation.settings, self.curation.work
        config = Config.fromfile(settings['scorer']['config'], format_python_code=False)
        metainfo = config.test_dataloader.dataset.get('metainfo', {})
        sources = self.curation.folder('plan') / SOURCES_FILE
        write_json(
            work.path / RUN_FILE,
            {
                'version': __version__,
                'commit': checkout_commit(),
                'config': settings.text,
                'hashes': {
                    'manifest': file_sha256(work.path / MANIFEST_FILE),
                    'sources': file_sha256(sources),
                    'checkpoint': work.record('cluster')['settings']['checkpoint'],
                },
                'classes': list(metainfo.get('classes', ())),
                'collections': {c.name: c.root for c in settings.collections},
                'crop_size': settings.grid.size,
            },
        )
        keys = ('stage', 'seconds', 'items', 'workers')
        records = [work.record(stage) for stage in before(self.name)]
        write_json(
            work.path / STAGES_FILE,
            [{key: record[key] for key in keys} for record in records],
        )
