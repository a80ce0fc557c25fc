"""Stage ``scan``: hash the crops, measure their quality and ask the gate."""

from __future__ import annotations

from typing import Any

from ..gate.part_scanner import PartScanner
from ..gate.quality_gate import QualityGate
from ..planning.source_files import SourceFiles
from ..stage import Stage


class ScanStage(Stage):
    """Looks at every planned crop without a model; writes a table for each part."""

    name = 'scan'
    needs = ('plan',)
    by_parts = True

    def settings(self) -> dict[str, Any]:
        """Return the thresholds of the gate."""
        return {'gate': self.curation.settings['gate']}

    def make(self) -> dict[str, Any]:
        """Scan the parts that have no table yet."""
        curation, settings = self.curation, self.curation.settings
        planned = curation.folder('plan')
        scanner = PartScanner(
            plan=planned,
            out=self.folder,
            sources=SourceFiles(planned, settings.collections),
            size=settings.grid.size,
            small=settings.grid.filling,
            high_byte=settings['plan']['high_byte'],
            gate=QualityGate.from_config(settings['gate']),
        )
        curation.map_parts(self.name, scanner)
        return {'items': curation.num_crops()}
