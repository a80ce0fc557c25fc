"""Stage ``select``, and the choice that the check repeats without what it dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.atomic import write_json
from s5_mm.io.crop_tables.parquet import write_table
from s5_mm.io.crop_tables.run_names import PROTOTYPES_FILE, QUOTAS_FILE

from ..run import CurationRun
from ..scoring.prototypes_file import load_prototypes
from ..selection.join import scored_crops
from ..selection.ranking import Crops
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
        chosen = choose(self.curation)
        write_choice(self.curation, self.name, chosen)
        return {'items': int(chosen.filled.sum())}


def choose(run: CurationRun, excluded: np.ndarray | None = None) -> Selection:
    """Select from the scores.

    Args:
        run: The run.
        excluded: Identifiers that may not be chosen, uint64, sorted.

    Returns:
        The selection.
    """

    def tables() -> Iterator[Crops]:
        return (crops for _, crops in scored_crops(run.work, excluded))

    options = dict(run.settings['selection'])
    options['num_selected'] = run.settings.need('selection', 'num_selected')
    prototypes = load_prototypes(run.folder('cluster') / PROTOTYPES_FILE)
    return select(tables, prototypes.counts.tolist(), **options)


def write_choice(
    run: CurationRun,
    stage: str,
    chosen: Selection,
    excluded: np.ndarray | None = None,
) -> None:
    """Write a selection: ``chosen`` for every crop, and the quotas.

    Args:
        run: The run.
        stage: Stage whose folder takes it.
        chosen: The selection.
        excluded: What it was made without.
    """
    folder = run.folder(stage)
    for name, crops in scored_crops(run.work, excluded):
        table = pa.table({'crop_id': crops.key, 'chosen': chosen(crops)})
        write_table(folder / name, table)
    write_json(folder / QUOTAS_FILE, chosen.report())
