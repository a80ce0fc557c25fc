"""Stages that look at crops with the segmentor: ``cluster`` and ``score``.

Prototypes come before the scores, so that one pass over the crops gives the entropy and
the similarities, and no features need to be kept.
"""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from s5_mm.io.hashing import file_sha256

from ..planning.crop_plan import plan
from ..planning.source_files import SOURCES_FILE
from ..run import CurationRun
from ..scoring.prototypes import fit_prototypes
from ..scoring.prototypes_file import save_prototypes
from ..scoring.score_parts import read_features

PROTOTYPES_FILE = 'prototypes.npz'
"""File of the prototypes in the folder of the stage ``cluster``."""


def run_cluster(run: CurationRun) -> None:
    """Cluster the features of the labelled crops."""
    settings, folder = run.settings, run.folder('cluster')
    checkpoint = settings.need('scorer', 'checkpoint')
    record = run.work.begin(
        'cluster',
        {
            'labelled': settings.labelled.drawn(),
            'prototypes': settings['prototypes'],
            'checkpoint': file_sha256(checkpoint),
            'model': _scoring_model(run),
        },
    )
    if record.finished:
        return
    with record.work(workers=run.jobs, unit='labelled crops') as results:
        if not (folder / 'plan' / SOURCES_FILE).exists():
            plan(
                [settings.labelled],
                settings.grid,
                folder / 'plan',
                **settings['plan'],
                jobs=run.jobs,
                progress=run.progress('cluster', 'labelled images'),
            )
        run.score_crops(
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
        results['items'] = len(keys)


def run_score(run: CurationRun) -> None:
    """Judge crops that passed the gate by Eq. 1, and compare with prototypes."""
    run.work.require('scan', 'cluster')
    keep = run.settings['check']['features'] is not None
    record = run.work.begin('score', {'features': keep})
    if record.finished:
        return
    workers = run.settings['scorer']['num_processes']
    with record.work(workers=workers, unit='crops') as results:
        run.score_crops(
            run.folder('score'),
            run.settings.collections,
            dict(plan='plan', gate='scan', output='score'),
            dict(prototypes=f'cluster/{PROTOTYPES_FILE}', features=keep),
        )
        results['items'] = run.num_crops()


def _scoring_model(run: CurationRun) -> dict[str, Any]:
    """What decides the scores beside the checkpoint."""
    path = run.settings.need('scorer', 'config')
    config = Config.fromfile(path, format_python_code=False)
    config.merge_from_dict(dict(run.settings['scorer']['cfg_options']))
    return config.model.to_dict()
