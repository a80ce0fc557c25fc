"""Stage ``verify``: compare the shards with their hashes and with the manifest."""

from __future__ import annotations

from typing import Any

from s5_mm.io.crop_tables.parquet import ManifestError, open_table
from s5_mm.io.crop_tables.run_names import INDEX_FILE, MANIFEST_FILE, SHARDS_FOLDER

from ..shards.shard_check import verify_shards
from ..stage import Stage

_SHOWN = 20


class VerifyStage(Stage):
    """Compares every member of every shard with its hashes and with the manifest."""

    name = 'verify'
    needs = ('materialize',)

    def settings(self) -> dict[str, Any]:
        """Return nothing: what is compared decides."""
        return {}

    def make(self) -> dict[str, Any]:
        """Read everything back.

        Raises:
            ManifestError: If something is wrong; the first faults are named.
        """
        curation = self.curation
        folder = curation.work.path / SHARDS_FOLDER
        faults = verify_shards(
            folder,
            curation.work.path / MANIFEST_FILE,
            curation.jobs,
            curation.progress(self.name, 'shards'),
        )
        if faults:
            shown = '\n  '.join(faults[:_SHOWN])
            raise ManifestError(
                f'{len(faults)} faults in {folder}, write them again with --redo '
                f'materialize:\n  {shown}'
            )
        return {'items': open_table(folder / INDEX_FILE).metadata.num_rows}
