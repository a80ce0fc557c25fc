"""A small run of curation that is planned and gated, and a scorer for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from s5_mm.curation.planning.collections import read_collections
from s5_mm.curation.planning.crop_grid import CropGrid
from s5_mm.curation.planning.crop_plan import plan
from s5_mm.io.crop_tables.parquet import Parts, read_table, write_table
from s5_mm.registry import MODELS
from s5_mm.testing.toy import toy_segmentor

CLASSES = ('background', 'a', 'b', 'c', 'd', 'e')
SIZE = 32
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def make_run(root: Path) -> dict:
    """Write five images, their plan and gate; returns the collections."""
    random = np.random.default_rng(0)
    (root / 'images').mkdir(parents=True)
    for number, height in enumerate((70, 96, 20, 64, 33)):
        coarse = random.integers(0, 256, (5, 6, 3), np.uint8)
        image = cv2.resize(coarse, (80, height), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(root / 'images' / f'{number}.png'), image)
    settings = {'sea': {'root': str(root / 'images')}}
    work_dir = root / 'run'
    plan(read_collections(settings), CropGrid(SIZE, 32), work_dir / 'plan', 8)
    for name in Parts(work_dir / 'plan'):
        ids = read_table(work_dir / 'plan' / name, ['crop_id'])['crop_id']
        reasons = ['flat' if number % 5 == 1 else '' for number in range(len(ids))]
        table = pa.table({'crop_id': ids, 'rejected': reasons})
        write_table(work_dir / 'scan' / name, table)
    return settings


def make_checkpoint(path: Path, seed: int = 0, classes: tuple = CLASSES) -> str:
    """Write a checkpoint of the toy segmentor."""
    torch.manual_seed(seed)
    model = MODELS.build(toy_segmentor(len(classes)))
    model.init_weights()
    # Not the almost even probabilities of a new network.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)
    meta = {'dataset_meta': {'classes': classes}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, path)
    return str(path)


def scorer_config(**kwargs) -> dict:
    """Config of a scorer around the toy segmentor."""
    preprocessor = dict(type='ImgDataPreprocessor', mean=MEAN, std=STD)
    return ConfigDict(
        type='s5_mm.PatchScorer',
        segmentor=toy_segmentor(len(CLASSES)),
        data_preprocessor=preprocessor,
        **kwargs,
    )


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Kills the process after some batches, before their scores are taken."""

    priority = 'VERY_HIGH'

    def __init__(self, after: int) -> None:
        self.after = after

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Kill."""
        if batch_idx == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


def score(
    root: Path,
    collections: dict,
    checkpoint: str | None,
    output: str = 'score',
    num_workers: int = 0,
    kill_after: int | None = None,
    launcher: str = 'none',
    hook: dict | None = None,
    model: dict | None = None,
    **dataset,
) -> Runner:
    """Run the test loop over the crops."""
    stream = dict(
        type='s5_mm.CropStream',
        work_dir=str(root / 'run'),
        collections=collections,
        batch_size=3,
        size=SIZE,
        output=output,
        metainfo=dict(classes=CLASSES),
    )
    runner = Runner(
        model=model or scorer_config(),
        work_dir=str(root / 'log'),
        test_dataloader=dict(
            batch_size=None,
            sampler=None,
            collate_fn=dict(type='torch.utils.data.default_convert'),
            num_workers=num_workers,
            dataset=stream | dataset,
        ),
        test_cfg=dict(type='TestLoop'),
        test_evaluator=[],
        default_hooks=dict(
            checkpoint_fit=dict(type='s5_mm.CheckpointFitHook'),
            dataset_check=dict(type='s5_mm.DatasetCheckHook'),
            patch_scoring=dict(type='s5_mm.PatchScoringHook', **(hook or {})),
            logger=dict(type='LoggerHook', interval=2),
        ),
        custom_hooks=(
            [] if kill_after is None else [dict(type='KillHook', after=kill_after)]
        ),
        load_from=checkpoint,
        default_scope='mmseg',
        log_level='ERROR',
        launcher=launcher,
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
            ),
        ),
        experiment_name=f'score_{output}_{os.getpid()}_{id(stream)}',
    )
    runner.test()
    return runner


def read_bytes(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
