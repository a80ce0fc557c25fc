"""Stage ``cluster``: prototypes of the labelled crops.

Prototypes come before the scores, so that one pass over the crops gives the entropy and
the similarities, and no features need to be kept.
"""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from s5_mm.io.crop_tables.run_names import PROTOTYPES_FILE, SOURCES_FILE
from s5_mm.io.hashing import file_sha256

from ..planning.crop_plan import plan
from ..scoring.prototypes import fit_prototypes
from ..scoring.prototypes_file import save_prototypes
from ..scoring.score_parts import read_features
from ..stage import Stage


class ClusterStage(Stage):
    """Clusters the features of the labelled crops."""

    name = 'cluster'
    unit = 'labelled crops'

    def settings(self) -> dict[str, Any]:
        """Return the labelled images, the clustering, the checkpoint and the model."""
        settings = self.curation.settings
        checkpoint = settings.need('scorer', 'checkpoint')
        return {
            'labelled': settings.labelled.drawn(),
            'prototypes': settings['prototypes'],
            'checkpoint': file_sha256(checkpoint),
            'model': self._model(),
        }

    def make(self) -> dict[str, Any]:
        """Plan and score the labelled crops, and cluster their features."""
        curation, settings, folder = self.curation, self.curation.settings, self.folder
        if not (folder / 'plan' / SOURCES_FILE).exists():
            plan(
                [settings.labelled],
                settings.grid,
                folder / 'plan',
                **settings['plan'],
                jobs=curation.jobs,
                progress=curation.progress(self.name, 'labelled images'),
            )
        curation.score_crops(
            folder,
            [settings.labelled],
            dict(plan='cluster/plan', gate=None, output='cluster/score'),
            dict(prototypes=None, features=True),
        )
        keys, features, digest = read_features(folder / 'plan', folder / 'score')
        found, _ = fit_prototypes(
            features, keys, checkpoint=digest, **settings['prototypes']
        )
        save_prototypes(folder / PROTOTYPES_FILE, found)
        return {'items': len(keys)}

    def _model(self) -> dict[str, Any]:
        """Return what decides the scores beside the checkpoint."""
        settings = self.curation.settings
        path = settings.need('scorer', 'config')
        config = Config.fromfile(path, format_python_code=False)
        config.merge_from_dict(dict(settings['scorer']['cfg_options']))
        return config.model.to_dict()
