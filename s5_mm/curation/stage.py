"""What all stages of a curation run have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from .run import CurationRun


class Stage(ABC):
    """One step of a curation run: what decides its result, and how it is made.

    A stage is done once.  Killed anywhere it continues, and its result is the same
    bytes; with other settings than those it was begun with it refuses to continue.

    Args:
        curation: The run.

    Attributes:
        name: Its name, a member of :data:`s5_mm.io.crop_tables.run_names.STAGES`.
        needs: Stages that must be finished before.
        unit: What it counts as items.
        by_parts: Whether it writes a file for each part of the plan.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = 'crops'
    by_parts: ClassVar[bool] = False

    def __init__(self, curation: CurationRun) -> None:
        self.curation = curation

    @property
    def folder(self) -> Path:
        """Folder of the stage."""
        return self.curation.folder(self.name)

    @property
    def workers(self) -> int:
        """Number of processes that do the work."""
        return self.curation.jobs

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what decides the result beside the stages before it, JSON.

        Raises:
            ValueError: If the config lacks one of them.
        """

    @abstractmethod
    def make(self) -> dict[str, Any]:
        """Make the result, or what is left of it.

        Returns:
            ``items``, the number of what was made, and perhaps further figures, for
            the record of the stage.
        """

    def done(self) -> bool:
        """Return whether the stage is finished."""
        return bool(self.curation.work.record(self.name).get('finished'))

    def run(self) -> None:
        """Do the work unless it is done, and show that it goes on.

        Raises:
            ManifestError: If a stage before this one is not finished, or this one was
                begun with other settings.
        """
        work = self.curation.work
        with self.curation.alive(self.name):
            work.require(*self.needs)
            record = work.begin(self.name, self.settings())
            if record.finished:
                return
            with record.work(workers=self.workers, unit=self.unit) as results:
                results.update(self.make())
