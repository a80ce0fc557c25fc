"""Stage ``materialize``: write the pixels of the chosen crops into shards."""

from __future__ import annotations

from typing import Any

from s5_mm.io.crop_tables.parquet import open_table
from s5_mm.io.crop_tables.run_names import (
    INDEX_FILE,
    MANIFEST_FILE,
    SHARDS_FOLDER,
    SPOOL_FOLDER,
)

from ..shards.shard_options import ShardOptions
from ..shards.write_shards import write_shards
from ..stage import Stage


class MaterializeStage(Stage):
    """Writes the chosen crops into tar shards with an index."""

    name = 'materialize'
    needs = ('check',)

    def settings(self) -> dict[str, Any]:
        """Return how crops become files of shards."""
        return self._options().record()

    def make(self) -> dict[str, Any]:
        """Write the shards that are missing, and the index."""
        curation = self.curation
        folder = curation.work.path / SHARDS_FOLDER
        write_shards(
            curation.work.path / MANIFEST_FILE,
            {c.name: c.root for c in curation.settings.collections},
            folder,
            self._options(),
            scratch=self.folder / SPOOL_FOLDER,
            jobs=curation.jobs,
            overwrite=True,  # what lies there is of an earlier choice
            progress=curation.progress(self.name, 'crops'),
        )
        return {'items': open_table(folder / INDEX_FILE).metadata.num_rows}

    def _options(self) -> ShardOptions:
        """Return the config's section, with how crops were scanned."""
        settings = self.curation.settings
        given: dict[str, Any] = settings['shards']
        scanned = dict(
            size=settings.grid.size,
            small=settings.grid.filling,
            high_byte=settings['plan']['high_byte'],
        )
        return ShardOptions(**{**given, **scanned})
