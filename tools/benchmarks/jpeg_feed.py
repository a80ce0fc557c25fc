"""A loader of JPEG files for ``benchmark_step.py``: what a step waits for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .benchmark_dataloader import write_images
from .gpu_figures import fed_times
from .plain_step import Update
from .s4p_case import S4PCase
from .step_case import CONFIGS


def build_loader(
    case: S4PCase, folder: Path, workers: int, count: int = 64
) -> DataLoader:
    """Write images and build the loader of the case's config over them.

    Args:
        case: S4P of some size.
        folder: Where the images are written.
        workers: Processes that load.
        count: Number of images of either kind.

    Returns:
        Loader of endless batches of ``case.batch`` labelled and unlabelled images.
    """
    loader = Config.fromfile(CONFIGS / case.config).train_dataloader.to_dict()
    side = case.img_size
    (folder / 'masks').mkdir(parents=True)
    for kind in ('labelled', 'unlabelled'):
        write_images(folder / kind, '.jpg', count, side)
    classes = case.model_config.segmentor.decode_head.num_classes
    for index in range(count):
        blocks = np.random.default_rng(index).integers(0, classes, (8, 8), np.uint8)
        mask = cv2.resize(blocks, (side, side), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'masks/{index:03d}.png'), mask)
    sources = loader['dataset']['sources']
    sources['sup'].update(
        data_root=str(folder),
        data_prefix=dict(img_path='labelled', seg_map_path='masks'),
        img_suffix='.jpg',
    )
    unlabelled = sources['unsup']
    for key in ('data_root', 'ann_file', 'separator'):
        unlabelled.pop(key, None)
    unlabelled['data_dir'] = str(folder / 'unlabelled')
    for source in (sources['sup'], unlabelled):
        for step in source['pipeline']:
            if 'crop_size' in step:
                step['crop_size'] = (side, side)
    shares = [case.batch] * len(sources)
    loader.update(batch_size=sum(shares), num_workers=workers)
    loader['sampler']['shares'] = shares
    if not workers:
        loader.update(persistent_workers=False)
    return Runner.build_dataloader(loader, seed=0)


def time_feed(
    case: S4PCase, steps: int, workers: int | None = None
) -> tuple[list[float], list[float]]:
    """Train from JPEG files, with the augmentation on the device.

    Args:
        case: S4P of some size; its partners are separate views.
        steps: Iterations that are timed.
        workers: Processes that load; default: one for each core, at most 16.

    Returns:
        Milliseconds of each iteration, and of its wait for the loader.
    """
    workers = min(16, os.cpu_count() or 1) if workers is None else workers
    model = case.ours()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)
    update = Update(model, torch.bfloat16, optimizer)

    def step(batch: dict) -> None:
        with update.autocast():
            prepared = model.data_preprocessor(batch, True)
            loss, _ = model.parse_losses(model(**prepared, mode='loss'))
        update(loss)

    wait = torch.cuda.synchronize if case.device == 'cuda' else lambda: None
    with tempfile.TemporaryDirectory() as folder:
        batches = iter(build_loader(case, Path(folder) / 'images', workers))
        return fed_times(batches, step, wait, steps)
