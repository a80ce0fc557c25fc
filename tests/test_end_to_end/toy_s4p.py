"""S4P on synthetic scenes, so small that a test can run it many times."""

import copy
import uuid
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from s5_mm.checkpoints import install_safe_loader
from s5_mm.cli.config import load_config
from s5_mm.testing import write_dataset

ROOT = Path(__file__).parents[2]
CONFIGS = Path(__file__).parent / 'toy_configs'
SIZE = 32


def write_scenes(root: Path) -> None:
    """Write 6 labelled, 10 unlabelled (two of them broken) and 3 validation scenes."""
    write_dataset(
        root,
        num_labelled=6,
        num_unlabelled=10,
        num_val=3,
        size=48,
        seed=0,
        broken=dict(truncated=1, empty=1),
    )


def toy_config(data_root: Path, name: str = 'fixmatch', **changes) -> Config:
    """Config of a run of 12 iterations; ``changes`` have ``__`` for dots."""
    cfg = load_config(str(CONFIGS / f'{name}.py'), dict(data_root=str(data_root)))
    arch = dict(embed_dims=32, num_layers=4, num_heads=2)
    cfg.model.segmentor.backbone.update(
        arch=arch, img_size=SIZE, drop_path_rate=0.2, out_indices=(0, 1, 2, 3)
    )
    cfg.model.segmentor.decode_head.update(in_channels=[32] * 4, channels=16)
    for source in cfg.train_dataloader.dataset.sources.values():
        for transform in source.pipeline:
            if transform.type == 's5_mm.RandomGeometry':
                transform.crop_size = (SIZE, SIZE)
    cfg.train_dataloader.sampler.shares = [
        4 for _ in cfg.train_dataloader.sampler.shares
    ]
    cfg.train_dataloader.batch_size = sum(cfg.train_dataloader.sampler.shares)
    cfg.val_dataloader.batch_size = cfg.test_dataloader.batch_size = 1
    if name == 'fixmatch':
        cfg.model.semi_train_cfg.update(conf_thresh=0.2, burn_in=3, ema_momentum=0.9)
    cfg.merge_from_dict(
        {
            'train_cfg.max_iters': 12,
            'train_cfg.val_interval': 5,
            'default_hooks.checkpoint.interval': 4,
            'default_hooks.logger.interval': 3,
            'default_hooks.bad_samples.max_rate': 1.0,
            'randomness.seed': 7,
            'load_from': None,
            'param_scheduler': [
                dict(type='CosineAnnealingLR', T_max=12, by_epoch=False)
            ],
        }
    )
    for hook in cfg.custom_hooks:
        if 'PseudoLabel' in hook.type:
            hook.interval = 4
    options = {key.replace('__', '.'): value for key, value in changes.items()}
    cfg.merge_from_dict(options)
    return cfg


def train(cfg: Config, work_dir: Path, resume: bool = False) -> Runner:
    """Train in this process."""
    install_safe_loader()
    cfg = copy.deepcopy(cfg)
    cfg.work_dir, cfg.resume = str(work_dir), resume
    # mmengine's names tell seconds: two runs of one would share their message hub.
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner
