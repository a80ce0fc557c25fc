"""Stage ``score``: judge crops by Eq. 1 and compare them with the prototypes."""

from __future__ import annotations

from typing import Any

from s5_mm.io.crop_tables.run_names import PROTOTYPES_FILE

from ..stage import Stage


class ScoreStage(Stage):
    """Scores the crops that passed the gate; writes a table for each part."""

    name = 'score'
    needs = ('scan', 'cluster')
    by_parts = True

    @property
    def workers(self) -> int:
        """Number of processes of the segmentor."""
        return self.curation.settings['scorer']['num_processes']

    def settings(self) -> dict[str, Any]:
        """Return whether features are kept; ``cluster`` holds what decides scores."""
        return {'features': self._keeps_features}

    def make(self) -> dict[str, Any]:
        """Score the parts that have no table yet."""
        curation = self.curation
        curation.score_crops(
            self.folder,
            curation.settings.collections,
            dict(plan='plan', gate='scan', output='score'),
            dict(
                prototypes=f'cluster/{PROTOTYPES_FILE}', features=self._keeps_features
            ),
        )
        return {'items': curation.num_crops()}

    @property
    def _keeps_features(self) -> bool:
        """Whether ``check`` compares features."""
        return self.curation.settings['check']['features'] is not None
