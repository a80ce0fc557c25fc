"""The stages of a curation run, one after another, each of them resumable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.checkpoints.atomic_io import write_whole
from s5_mm.datasets.patches.workers import map_unordered

from .manifest import Parts, read_table, write_table
from .plan import SOURCES_FILE, plan, source_paths
from .progress import ProgressLine
from .quality_gate import QualityGate
from .ranking import Crops
from .scan import PartScanner
from .selection import Selection, select
from .settings import Settings
from .tables import scored_crops
from .work_dir import STAGES, WorkDir

QUOTAS_FILE = 'quotas.json'


class Pipeline:
    """A curation run.

    Args:
        settings: Its config.
        work: Its directory.
        jobs: Processes of the stages that decode images.
        quiet: Show no progress.
    """

    def __init__(
        self, settings: Settings, work: WorkDir, jobs: int = 1, quiet: bool = False
    ) -> None:
        self.settings, self.work, self.jobs, self.quiet = settings, work, jobs, quiet

    def run(self, stages: Iterable[str] = STAGES) -> None:
        """Run stages, or what is left of them.

        Args:
            stages: Their names, in order.

        Raises:
            ManifestError: If a stage before them is not finished, was made with other
                settings, or a source has changed.
        """
        for name in stages:
            getattr(self, name)()

    # -- stages -----------------------------------------------------------------
    def plan(self) -> None:
        """Lay crops over the images of all collections."""
        settings = self.settings
        record = self.work.begin('plan', self._plan_settings())
        if record.finished:
            return
        folder = self.work.folder('plan')
        with record.work(workers=self.jobs, unit='crops') as results:
            plan(
                settings.collections,
                settings.grid,
                folder,
                **settings['plan'],
                jobs=self.jobs,
                progress=self._progress('plan', 'images'),
            )
            results['items'] = sum(Parts(folder).num_rows())

    def scan(self) -> None:
        """Hash the crops and ask the quality gate."""
        self.work.require('plan')
        record = self.work.begin('scan', {'gate': self.settings['gate']})
        if record.finished:
            return
        grid, folder = self.settings.grid, self.work.folder('plan')
        sources = read_table(folder / SOURCES_FILE, ['num_bytes', 'mtime_ns'])
        scanner = PartScanner(
            plan=folder,
            out=self.work.folder('scan'),
            paths=source_paths(folder, self.settings.collections),
            stamps=np.stack([column.to_numpy() for column in sources.columns], 1),
            size=grid.size,
            small='reflect' if grid.small == 'drop' else grid.small,
            high_byte=self.settings['plan']['high_byte'],
            gate=QualityGate(**self.settings['gate']),
        )
        with record.work(workers=self.jobs, unit='crops') as results:
            self._map_parts('scan', scanner)
            results['items'] = sum(Parts(folder).num_rows())

    def select(self) -> None:
        """Choose crops (Eq. 2-3)."""
        self.work.require('score')
        record = self.work.begin('select', self.settings['selection'])
        if record.finished:
            return
        with record.work(unit='crops') as results:
            chosen = self.choose()
            self.write_choice('select', chosen)
            results['items'] = int(chosen.filled.sum())

    # -- what stages share --------------------------------------------------------
    def choose(self, excluded: np.ndarray | None = None) -> Selection:
        """Select from the scores.

        Args:
            excluded: Identifiers that may not be chosen, uint64, sorted.

        Returns:
            The selection.
        """

        def tables() -> Iterator[Crops]:
            return (crops for _, crops in scored_crops(self.work, excluded))

        options = dict(self.settings['selection'])
        number = self.settings.need('selection', 'num_selected')
        del options['num_selected']
        counts = self.load_prototypes().counts.tolist()
        return select(tables, counts, number, **options)

    def write_choice(
        self, stage: str, chosen: Selection, excluded: np.ndarray | None = None
    ) -> None:
        """Write a selection: ``chosen`` for every crop, and the quotas.

        Args:
            stage: Stage whose folder takes it.
            chosen: The selection.
            excluded: What it was made without.
        """
        folder = self.work.folder(stage)
        for name, crops in scored_crops(self.work, excluded):
            table = pa.table({'crop_id': crops.key, 'chosen': chosen(crops)})
            write_table(folder / name, table)
        write_json(folder / QUOTAS_FILE, chosen.report())

    def _map_parts(self, stage: str, function: Callable[[str], int]) -> None:
        """Call a function for every part whose file is missing."""
        parts = Parts(self.work.folder('plan'))
        rows = dict(zip(parts, parts.num_rows(), strict=True))
        folder = self.work.folder(stage)
        missing = [name for name in parts if not (folder / name).exists()]
        total, progress = sum(rows.values()), self._progress(stage, 'crops')
        done = total - sum(rows[name] for name in missing)
        for count in map_unordered(function, missing, self.jobs):
            done += count
            progress(done, total)

    def _progress(self, stage: str, unit: str) -> Callable[[int, int], None]:
        """Make the line that shows how far a stage is."""
        return (lambda *_: None) if self.quiet else ProgressLine(stage, unit)

    def _plan_settings(self) -> dict[str, Any]:
        """What decides the crops; where a collection lies does not."""
        settings = self.settings
        collections = {
            collection.name: {
                key: value
                for key, value in vars(collection).items()
                if key not in ('name', 'root')
            }
            for collection in settings.collections
        }
        return {
            'collections': collections,
            'crop': settings['crop'],
            'plan': settings['plan'],
        }


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file whole."""
    text = json.dumps(values, indent=2, sort_keys=True) + '\n'
    write_whole(path, lambda file: file.write(text.encode()))


def file_sha256(path: str | Path) -> str:
    """Hash a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(partial(file.read, 2**20), b''):
            digest.update(block)
    return digest.hexdigest()
