#!/usr/bin/env bash
# onedl-mmengine 0.10.12 (torch 2.13.0)
# Behaviour: with save_best, CheckpointHook writes an ordinary iter_*.pth each time the
#     score improves, off the interval, and these push the regular ones out of
#     max_keep_ckpts.
# Seen: 40 iterations, interval=10, max_keep_ckpts=3, a better score every 2 iterations:
#     iter_36, iter_38, iter_40 are kept instead of iter_20, iter_30, iter_40. Without
#     max_keep_ckpts: 16 ordinary files instead of 4.
# Why it surprises: interval and save_best read as two independent settings, the best
#     model already has its own best_*.pth, and a run that improves often fills the disk
#     and keeps no older state to go back to.
# Instead: leave max_keep_ckpts at -1 and delete the files off the interval yourself, or
#     validate only where a regular checkpoint is due (val_interval = interval).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.13.0 \
    numpy==2.2.6 \
    onedl-mmengine==0.10.12 \
    opencv-python-headless==4.12.0.88
cd "$tmp"
venv/bin/python - <<'PY'
import os
import sys

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset


class Numbers(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {'inputs': torch.tensor([float(index)])}


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        out = self.layer(torch.stack(inputs) if isinstance(inputs, list) else inputs)
        return {'loss': out.pow(2).mean()} if mode == 'loss' else [0]

class Better(BaseMetric):
    default_prefix = 'test'
    calls = 0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        Better.calls += 1
        return {'score': Better.calls}


def ordinary_files(work_dir, **checkpoint):
    loader = {'batch_size': 2, 'dataset': Numbers()}
    Runner(
        Line(), work_dir, log_level='ERROR', experiment_name=work_dir,
        train_dataloader=loader | {'sampler': {'type': 'InfiniteSampler'}},
        val_dataloader=loader | {'sampler': {'type': 'DefaultSampler'}},
        val_evaluator=[Better()], val_cfg={},
        train_cfg={'by_epoch': False, 'max_iters': 40, 'val_interval': 2},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.01}},
        default_hooks={'checkpoint': {
            'type': 'CheckpointHook', 'by_epoch': False, 'interval': 10, **checkpoint
        }},
    ).train()
    names = [n for n in os.listdir(work_dir) if n.startswith('iter_')]
    return sorted(int(n[5:-4]) for n in names)


best = {'save_best': 'test/score', 'rule': 'greater'}
plain = ordinary_files('plain')
more = ordinary_files('more', **best)
kept = ordinary_files('kept', max_keep_ckpts=3, **best)
print('interval=10:', plain)
print('and save_best:', more)
print('and max_keep_ckpts=3:', kept)
if plain != [10, 20, 30, 40] or len(more) != 16 or kept != [36, 38, 40]:
    sys.exit('changed: save_best leaves other ordinary checkpoints')
PY
