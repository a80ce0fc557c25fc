"""A tiny training: every draw counts, and it takes a millisecond an iteration."""

import copy
import io
import os
import random
import time
import uuid

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset, Sampler

from s5_mm.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS
from s5_mm.utils.randomness import SampleKey, StreamIndex, sample_generator

PRELOAD = ['tests.test_engine.toy']
IMPORTS = dict(imports=['tests.test_engine.toy'])


@DATASETS.register_module()
class ToyDataset(Dataset):
    def __init__(self, length, delay=0.0, reads=None):
        self.length = length
        self.delay = delay
        self.reads = reads  # file that gets a byte for every image read
        self.metainfo = dict(classes=('a', 'b'))

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if self.reads:
            # A lock shared by processes would stay locked when its holder is killed.
            with open(self.reads, 'ab') as file:
                file.write(b'.')
        time.sleep(self.delay)
        image = np.random.default_rng(int(index)).normal(size=(3, 8, 8))
        key = getattr(index, 'key', SampleKey(0, 0, int(index)))
        image += sample_generator(key, 0).normal(size=image.shape)
        return dict(inputs=torch.from_numpy(image).float(), data_samples=int(index) % 2)


@DATA_SAMPLERS.register_module()
class ToySampler(Sampler):
    """An endless stream whose position is arithmetic."""

    def __init__(self, dataset, shares=(4,), seed=None):
        self.length, self.seed, self.shares = len(dataset), seed, list(shares)
        self.batch_size, self.start = sum(shares), 0

    def __len__(self):
        return self.length

    def skip(self, num_samples):
        self.start = num_samples

    def __iter__(self):
        position = self.start
        while True:
            key = SampleKey(self.seed, 0, position)
            yield StreamIndex(position * 7 % self.length, key)
            position += 1


@MODELS.register_module()
class ToyModel(BaseModel):
    """A conv with batch norm, dropout and draws from three generators."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 2)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = self.norm(self.conv(inputs)).relu().mean((2, 3))
        if mode != 'loss':
            # Validation draws too: training must not notice.
            scores = self.head(nn.functional.dropout(features, 0.3))
            return [dict(score=s + random.random()) for s in scores]
        features = nn.functional.dropout(features, 0.5) * (1 + random.random() / 10)
        features = features + np.random.normal() / 10
        loss = nn.functional.cross_entropy(self.head(features), data_samples)
        return dict(loss_toy=loss, accuracy=features.detach().mean())


@METRICS.register_module()
class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [float(sample['score'][0]) for sample in data_samples]

    def compute_metrics(self, results):
        return dict(mIoU=float(np.mean(results)))


@HOOKS.register_module()
class ToySlowValHook(Hook):
    """Say when validation runs, and make it last."""

    def __init__(self, seconds, path):
        self.seconds, self.path = seconds, path

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(self.path, 'a') as file:
            file.write(f'{runner.iter} {batch_idx}\n')
        time.sleep(self.seconds)


def toy_config(**changes):
    """The whole config; ``changes`` replace its entries by dotted key."""
    config = dict(
        custom_imports=IMPORTS,
        default_scope='mmengine',
        model=dict(type='s5_mm.ToyModel'),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='s5_mm.ToyDataset', length=50),
            sampler=dict(type='s5_mm.ToySampler', shares=[1, 3]),
        ),
        val_dataloader=dict(
            batch_size=2,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='s5_mm.ToyDataset', length=6),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_evaluator=dict(type='s5_mm.ToyMetric'),
        val_cfg=dict(),
        train_cfg=dict(type='s5_mm.ResumableIterLoop', max_iters=24, val_interval=6),
        optim_wrapper=dict(
            type='s5_mm.OptimWrapper',
            optimizer=dict(type='AdamW', lr=0.01, fused=True),
            clip_grad=dict(max_norm=1.0),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, end=5, by_epoch=False),
            dict(type='PolyLR', begin=5, end=24, by_epoch=False),
        ],
        default_hooks=dict(
            runtime_info=dict(type='s5_mm.DeferredRuntimeInfoHook'),
            logger=dict(type='LoggerHook', interval=5),
            checkpoint=dict(
                type='s5_mm.AtomicCheckpointHook',
                interval=4,
                by_epoch=False,
                max_keep_ckpts=2,
                save_best='mIoU',
            ),
        ),
        custom_hooks=[
            dict(type='EMAHook', momentum=0.1),
            dict(type='s5_mm.IterationSeedHook'),
            dict(type='s5_mm.PreemptionHook', interval=2),
        ],
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=5),
        visualizer=None,
        launcher='none',
    )
    config = copy.deepcopy(config)
    for key, value in changes.items():
        node = config
        *parents, last = key.split('__')
        for parent in parents:
            node = node[int(parent) if isinstance(node, list) else parent]
        node[last] = value
    return config


def toy_runner(work_dir, resume=False, **changes):
    """A runner in this process, with loggers and hubs of its own."""
    cfg = Config(toy_config(**changes), format_python_code=False)
    cfg.work_dir, cfg.resume = str(work_dir), resume
    cfg.experiment_name = uuid.uuid4().hex
    return Runner.from_cfg(cfg)


class Interrupted(Exception):
    """What :class:`ToyStopHook` raises."""


@HOOKS.register_module()
class ToyStopHook(Hook):
    """Die at the end of an iteration, after all else."""

    priority = 'LOWEST'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            raise Interrupted


@HOOKS.register_module()
class ToyCrashHook(Hook):
    """Kill the process, without a chance to clean up, around the n-th rename."""

    def __init__(self, moment, nth):
        self.moment, self.left = moment, nth

    def before_train(self, runner):
        rename, save = os.replace, torch.save

        def replace(source, target):
            self.left -= 1
            if self.left == 0 and self.moment == 'before':
                os._exit(99)
            rename(source, target)
            if self.left == 0 and self.moment == 'after':
                os._exit(99)

        def half(content, file):
            if not isinstance(file, io.BytesIO):
                self.left -= 1
                if self.left == 0:
                    buffer = io.BytesIO()
                    save(content, buffer)
                    file.write(buffer.getvalue()[: buffer.tell() // 2])
                    file.flush()
                    os._exit(99)
            save(content, file)

        if self.moment == 'write':
            torch.save = half
        else:
            os.replace = replace
