"""Stage ``select``, and the choice that the check repeats without what it dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.atomic import write_json
from s5_mm.io.crop_tables.parquet import Parts, read_table, write_table
from s5_mm.io.crop_tables.run_names import PROTOTYPES_FILE, QUOTAS_FILE

from ..run import CurationRun
from ..scoring.prototypes_file import load_prototypes
from ..selection.join import scored_crops
from ..selection.selection import Selection, select
from ..stage import Stage


class SelectStage(Stage):
    """Chooses crops (Eq. 2-3)."""

    name = 'select'
    needs = ('score',)

    @property
    def workers(self) -> int:
        """One process."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return the config's section."""
        return self.curation.settings['selection']

    def make(self) -> dict[str, Any]:
        """Choose, and write the choice and the quotas."""
        selection = choose(self.curation)
        write_choice(self.curation, self.name, selection)
        return {'items': int(selection.filled.sum())}


def choose(run: CurationRun, excluded: np.ndarray | None = None) -> Selection:
    """Select from the scores.

    Args:
        run: The run.
        excluded: Identifiers that may not be chosen, uint64, sorted.

    Returns:
        The selection.
    """
    options = dict(run.settings['selection'])
    options['num_selected'] = run.settings.need('selection', 'num_selected')
    prototypes = load_prototypes(run.folder('cluster') / PROTOTYPES_FILE)
    crops = scored_crops(run.work, excluded)
    return select(crops, prototypes.counts.tolist(), **options)


def write_choice(run: CurationRun, stage: str, selection: Selection) -> None:
    """Write a selection: ``chosen`` for every crop, and the quotas.

    Args:
        run: The run.
        stage: Stage whose folder takes it.
        selection: The selection.
    """
    folder, start = run.folder(stage), 0
    for name in Parts(run.folder('plan')):
        ids = read_table(run.folder('plan') / name, ['crop_id'])['crop_id']
        chosen = selection.chosen[start : start + len(ids)]
        write_table(folder / name, pa.table({'crop_id': ids, 'chosen': chosen}))
        start += len(ids)
    write_json(folder / QUOTAS_FILE, selection.report())
