"""A whole run of curation that takes seconds, in processes that may be killed."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config

from s5_mm.curation.run import CurationRun
from s5_mm.curation.scoring.scoring_run import Scorer
from s5_mm.curation.settings import load_settings
from s5_mm.curation.stages import STAGE_TYPES
from s5_mm.curation.work_dir import WorkDir
from s5_mm.io.crop_tables.run_names import STAGES
from s5_mm.testing import draw_scene

from .scoring import CLASSES, MEAN, SIZE, STD, make_checkpoint

ROOT = Path(__file__).parents[2]
NUM_SELECTED = 24


def write_images(folder: Path, numbers, size: int = 96) -> None:
    """Write drawn scenes."""
    folder.mkdir(parents=True)
    for number in numbers:
        image = draw_scene(3, number, size, (0.3, 0.6)).image
        cv2.imwrite(str(folder / f'{number:03d}.png'), image[..., ::-1])


def make(root: Path) -> Path:
    """Write images, a checkpoint and the configs of a run; returns that of the run."""
    write_images(root / 'labelled', range(4))
    write_images(root / 'sea', range(10, 18))
    write_images(root / 'land', range(20, 25))
    flat = np.full((96, 96, 3), 30, np.uint8)
    cv2.imwrite(str(root / 'land/flat.png'), flat)
    (root / 'land/broken.png').write_bytes(b'\x89PNG\r\n\x1a\n torn')
    checkpoint = make_checkpoint(root / 'model.pth')
    segmentor = dict(
        type='s5_mm.PatchScorer',
        segmentor=toy(),
        data_preprocessor=dict(type='ImgDataPreprocessor', mean=MEAN, std=STD),
    )
    base = ROOT / 'configs/_base_/score_crops.py'
    scorer = Config(
        dict(
            Config.fromfile(base).to_dict(),
            model=segmentor,
            log_level='ERROR',
            visualizer=None,
        )
    )
    scorer.test_dataloader.update(num_workers=0, pin_memory=False)
    scorer.test_dataloader.pop('persistent_workers', None)
    scorer.test_dataloader.dataset.update(
        batch_size=4, metainfo=dict(classes=list(CLASSES))
    )
    scorer.dump(root / 'score.py')
    config = dict(
        data_root=f'{root}/',
        collections=dict(sea=dict(root=f'{root}/sea'), land=dict(root=f'{root}/land')),
        labelled=dict(root=f'{root}/labelled'),
        crop=dict(size=SIZE, stride=SIZE),
        plan=dict(rows_per_part=20),
        scorer=dict(config=f'{root}/score.py', checkpoint=checkpoint),
        prototypes=dict(num_clusters=3, num_restarts=2),
        selection=dict(num_selected=NUM_SELECTED),
        shards=dict(per_shard=10),
    )
    Config(config).dump(root / 'run.py')
    return root / 'run.py'


def toy() -> dict:
    """Config of the segmentor of the checkpoint."""
    from s5_mm.testing.toy import toy_segmentor

    return toy_segmentor(len(CLASSES))


def curate(
    config: Path,
    work_dir: Path,
    jobs: int = 1,
    stages=STAGES,
    options: dict | None = None,
) -> None:
    """Run stages in this process, the scoring pass too."""
    torch.set_num_threads(1)
    Scorer._call = _score_here
    work = WorkDir(work_dir)
    settings = load_settings(config, options)
    with work.lock():
        for stage in stages:
            STAGE_TYPES[stage](CurationRun(settings, work, jobs, quiet=True)).run()


class CuratingChild:
    """A run in a process of its own, forked from a server with warm imports."""

    def __init__(self, *arguments) -> None:
        context = multiprocessing.get_context('forkserver')
        preload = [__name__, 's5_mm.models', 's5_mm.datasets', 'tests.support.frozen']
        context.set_forkserver_preload(preload)
        self.process = context.Process(target=_child, args=arguments)
        self.process.start()

    def finish(self) -> int:
        """Wait; returns the exit status."""
        self.process.join(120)
        return self.process.exitcode


def _child(config: Path, work_dir: Path, jobs: int, log: Path) -> None:
    """Run everything, its output in a file."""
    handle = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    curate(config, work_dir, jobs)


def _score_here(scorer: Scorer, arguments) -> None:
    """Run the test command in this process."""
    before = sys.argv
    sys.argv = [str(scorer.test_script), *map(str, arguments)]
    try:
        runpy.run_path(str(scorer.test_script), run_name='__main__')
    finally:
        sys.argv = before
