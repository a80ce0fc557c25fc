"""A curation run: its config, its directory, and what its stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s5_mm.io.crop_tables.parquet import Parts
from s5_mm.io.heartbeat import Heartbeat
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import Progress, ProgressLine

from .planning.collections import Collection
from .scoring.scoring_run import Scorer
from .settings import CurationSettings
from .work_dir import WorkDir

_TEST_SCRIPT = Path(__file__).parents[2] / 'tools' / 'test.py'


@dataclass(frozen=True)
class CurationRun:
    """What every stage gets.

    Attributes:
        settings: The config.
        work: The directory.
        jobs: Processes of the stages that decode images.
        test_script: ``tools/test.py``, which scores.
        quiet: Show no progress.
        heartbeat: Says that a stage is at work where its progress says nothing.
    """

    settings: CurationSettings
    work: WorkDir
    jobs: int = 1
    test_script: Path = _TEST_SCRIPT
    quiet: bool = False
    heartbeat: Heartbeat = field(default_factory=Heartbeat, compare=False)

    def folder(self, stage: str) -> Path:
        """Folder of a stage."""
        return self.work.folder(stage)

    def parts(self) -> Parts:
        """Parts of the plan."""
        return Parts(self.folder('plan'))

    def num_crops(self) -> int:
        """Number of planned crops."""
        return sum(self.parts().num_rows())

    def progress(self, stage: str, unit: str) -> Progress:
        """Make the line that shows how far a stage is."""
        if self.quiet:
            return lambda *_: None
        line = ProgressLine(stage, unit)

        def show(done: int, total: int) -> None:
            self.heartbeat.seen()
            line(done, total)

        return show

    def alive(self, stage: str) -> AbstractContextManager[None]:
        """Watch over a stage, so that it is never silent for long."""
        return nullcontext() if self.quiet else self.heartbeat.during(stage)

    def map_parts(self, stage: str, function: Callable[[str], int]) -> None:
        """Call a function for every part whose file is missing.

        Args:
            stage: Stage whose folder takes the files.
            function: Writes the file of a part and returns the number of its crops;
                picklable.
        """
        parts = self.parts()
        rows = dict(zip(parts, parts.num_rows(), strict=True))
        missing = [name for name in parts if not (self.folder(stage) / name).exists()]
        total, progress = sum(rows.values()), self.progress(stage, 'crops')
        done = total - sum(rows[name] for name in missing)
        for count in map_unordered(function, missing, self.jobs):
            done += count
            progress(done, total)

    def score_crops(
        self,
        folder: Path,
        collections: Iterable[Collection],
        dataset: dict[str, Any],
        hook: dict[str, Any],
    ) -> None:
        """Run the scoring pass over planned crops.

        Args:
            folder: Folder that gets its config and log.
            collections: Where the crops come from.
            dataset: Folders of the crop stream.
            hook: Arguments of the scoring hook.
        """
        grid, given = self.settings.grid, self.settings['scorer']
        scorer = Scorer(
            config=self.settings.need('scorer', 'config'),
            checkpoint=self.settings.need('scorer', 'checkpoint'),
            test_script=self.test_script,
            num_processes=given['num_processes'],
            cfg_options=given['cfg_options'],
            shown=self.heartbeat.seen,
        )
        scorer.run(
            folder,
            dict(
                dataset,
                work_dir=str(self.work.path.resolve()),
                collections={c.name: c.arguments() for c in collections},
                size=grid.size,
                small=grid.filling,
                high_byte=self.settings['plan']['high_byte'],
            ),
            hook,
        )
