"""Stage ``plan``: lay crops over the images of all collections."""

from __future__ import annotations

from typing import Any

from ..planning.crop_plan import plan
from ..stage import Stage


class PlanStage(Stage):
    """Lists the images of all collections and lays a grid of crops over each."""

    name = 'plan'

    def settings(self) -> dict[str, Any]:
        """Return the collections, the grid and how images are listed."""
        settings = self.curation.settings
        return {
            'collections': {c.name: c.drawn() for c in settings.collections},
            'crop': settings['crop'],
            'plan': settings['plan'],
        }

    def make(self) -> dict[str, Any]:
        """Write the tables of sources and of crops."""
        curation = self.curation
        plan(
            curation.settings.collections,
            curation.settings.grid,
            self.folder,
            **curation.settings['plan'],
            jobs=curation.jobs,
            progress=curation.progress(self.name, 'images'),
        )
        return {'items': curation.num_crops()}
