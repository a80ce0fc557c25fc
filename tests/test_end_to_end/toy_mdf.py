"""MoE-MDF on three drawn data sets, so small that a test can run it many times."""

import contextlib
import copy
import io
import os
import re
import runpy
import subprocess
import uuid
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from s5_mm.checkpoints import install_safe_loader
from s5_mm.cli.config import load_config
from s5_mm.testing import METAINFO, write_dataset

from ..support.warm_python import warm_python

rasterio = pytest.importorskip('rasterio')

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs' / 'finetune_seg'
SHIPPED = 'moe-mdf_vit-t_dubai-korea-hrsc'
SIZE = 32
GRID = dict(crs='EPSG:32652', transform=rasterio.Affine(10, 0, 3e5, 0, -10, 4e6))
# Overrides that make the model of a shipped config as small as the toy.
SMALL = {
    'model.backbone.arch': dict(
        _delete_=True, embed_dims=32, num_layers=4, num_heads=2
    ),
    'model.backbone.img_size': SIZE,
    'model.backbone.out_indices': (0, 1, 2, 3),
    'model.decode_head.in_channels': [32] * 4,
    'model.decode_head.channels': 16,
    'train_dataloader.dataset.pipeline.2.crop_size': (SIZE, SIZE),
}

# Overrides that make the run of a shipped config as short.
SHORT = {
    'load_from': None,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 2,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.logger.interval': 1,
    'visualizer.vis_backends': [dict(type='LocalVisBackend')],
}


def write_pairs(root: Path, classes: int, suffixes=('.png', '.png'), seed=0, shift=0):
    """Write 6 + 3 scenes of 48 px, their six classes cut down to ``classes``.

    With ``shift`` ids are stored that much higher, and a border of 0 means no data.
    """
    drawn = root.with_name(f'{root.name}_drawn')
    write_dataset(
        drawn, num_labelled=6, num_unlabelled=0, num_val=3, size=48, seed=seed
    )
    for path in sorted(drawn.glob('*_dir/*/*.png')):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        kind = path.parent.parent.name
        if kind == 'ann_dir':
            image = np.minimum(image, classes - 1) + shift
            image[:4] = 0 if shift else image[:4]
        target = root / path.parent.relative_to(drawn) / path.stem
        target.parent.mkdir(parents=True, exist_ok=True)
        suffix = suffixes[kind == 'ann_dir']
        if suffix == '.tif':
            _write_geotiff(f'{target}.tif', image)
        else:
            assert cv2.imwrite(f'{target}{suffix}', image)


def _write_geotiff(path, image):
    bands = image[None] if image.ndim == 2 else image[..., ::-1].transpose(2, 0, 1)
    profile = dict(count=len(bands), dtype='uint8', driver='GTiff', **GRID)
    height, width = image.shape[:2]
    with rasterio.open(path, 'w', height=height, width=width, **profile) as file:
        file.write(bands)


# Three label spaces: all classes; half of them; four, stored from 1 in GeoTIFF.
TOY = dict(
    scenes=dict(classes=6, seed=0),
    cover=dict(classes=3, seed=1),
    raster=dict(classes=4, seed=2, shift=1, suffixes=('.tif', '.tif')),
)


def write_toy(root: Path) -> Path:
    """Write the three data sets."""
    for name, own in TOY.items():
        write_pairs(root / name, **own)
    return root


def toy_config(
    root: Path, base: str = SHIPPED, names=tuple(TOY), per_set: int = 2, **changes
) -> Config:
    """Config of a run of 12 iterations; ``changes`` have ``__`` for dots.

    The data sets of a shipped config are replaced, and nothing but a config says so.
    """
    sources = {split: {} for split in ('train', 'val')}
    for name in names:
        own = TOY[name]
        suffixes = own.get('suffixes', ('.png', '.png'))
        for split, found in sources.items():
            found[name] = dict(
                type='s5_mm.SegDataset',
                data_root=str(root / name),
                data_prefix=dict(
                    img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}'
                ),
                img_suffix=suffixes[0],
                seg_map_suffix=suffixes[1],
                reduce_zero_label=bool(own.get('shift')),
                serialize_data=False,  # its gc.collect() would be a third of a run
                metainfo=dict(
                    classes=METAINFO['classes'][: own['classes']],
                    palette=METAINFO['palette'][: own['classes']],
                ),
            )
    protocol = dict(mode='slide', crop_size=(SIZE, SIZE), stride=(16, 16))
    models = {
        name: dict(num_classes=TOY[name]['classes'], test_cfg=protocol)
        for name in names
    }
    metrics = {name: dict(type='s5_mm.SegmentationMetric') for name in names}
    cfg = load_config(str(CONFIGS / f'{base}.py'))
    cfg.merge_from_dict(copy.deepcopy(SMALL))
    if base.startswith('moe'):
        cfg.merge_from_dict({'model.backbone.part_features': 16})
    replace = dict(_delete_=True)
    cfg.merge_from_dict(
        {
            'model.datasets': {**models, **replace},
            'model.backbone.drop_path_rate': 0.2,
            'train_dataloader.batch_size': per_set * len(names),
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.dataset.sources': {**sources['train'], **replace},
            'param_scheduler': [
                dict(type='CosineAnnealingLR', T_max=12, by_epoch=False)
            ],
            'optim_wrapper.optimizer.lr': 3e-3,
            'train_cfg.max_iters': 12,
            'train_cfg.val_interval': 6,
            'default_hooks.checkpoint.interval': 4,
            'default_hooks.logger.interval': 3,
            'randomness.seed': 7,
            'visualizer.vis_backends': [dict(type='LocalVisBackend')],
        }
    )
    for part in ('val', 'test'):
        cfg.merge_from_dict(
            {
                f'{part}_dataloader.num_workers': 0,
                f'{part}_dataloader.persistent_workers': False,
                f'{part}_dataloader.dataset.sources': {**sources['val'], **replace},
                f'{part}_evaluator.metrics': {**metrics, **replace},
            }
        )
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
    return cfg


class Interrupted(Exception):
    """What stops a run in its middle."""


class StopHook(Hook):
    """Stop after an iteration, before anything of it is saved."""

    priority = 'VERY_HIGH'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            raise Interrupted


class InitialWeightsHook(Hook):
    """Keep the weights that the training starts from."""

    def before_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        self.state = {k: v.clone() for k, v in model.state_dict().items()}


def train(cfg: Config, work_dir: Path, resume: bool = False, hooks=()) -> Runner:
    """Train in this process."""
    install_safe_loader()
    torch.set_num_threads(1)
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.resume = str(work_dir), resume
    # mmengine's names tell seconds: two runs of one would share their message hub.
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def start_tool(tool: str, *arguments) -> subprocess.Popen:
    """Start one of the tools as a process."""
    return subprocess.Popen(
        [warm_python(), '-W', 'ignore', str(ROOT / 'tools' / tool)]
        + [str(argument) for argument in arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
    )


def run_tool(tool: str, *arguments, status: int = 0) -> str:
    """Run one of the tools as a process and return what it says."""
    with start_tool(tool, *arguments) as child:
        output, _ = child.communicate(timeout=280)
    assert child.returncode == status, output[-3000:]
    return output


def call_tool(tool: str, *arguments) -> str:
    """Run one of the tools in this process, for the seconds that a start takes."""
    said = io.StringIO()
    script = str(ROOT / 'tools' / tool)
    argv = [script, *(str(argument) for argument in arguments)]
    with mock.patch('sys.argv', argv), contextlib.redirect_stdout(said):
        MMLogger._instance_dict.clear()  # a new logger writes to the new stdout
        runpy.run_path(script)['main']()
    return said.getvalue()


def figures(output: str) -> dict[str, float]:
    """Figures of the last validation or test in a log."""
    lines = re.findall(r'Iter\((?:val|test)\) \[.*?\] +(.*(?:mIoU|mF1).*)', output)
    pairs = re.findall(r'(\S+): ([\d.]+|nan)', lines[-1])
    return {key: float(value) for key, value in pairs if 'time' not in key}
