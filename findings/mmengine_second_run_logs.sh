#!/usr/bin/env bash
# onedl-mmengine 0.10.12 (torch 2.13.0)
# Behaviour: two runs in one process, each with its own work_dir and the line that every
#     OpenMMLab config has, visualizer=dict(name='visualizer', ...), share one
#     visualizer: the second run's scalars are appended to the first run's file, and its
#     own folder gets none.
# Seen: run "a" of 4 iterations, then run "b" of 4: a's scalars.json has steps
#     1 2 3 4 1 2 3 4, b has no scalars.json. With another name for each run both
#     have their own four.
# Why it surprises: work_dir is where a run's files go; checkpoints and text logs of the
#     second run are in its folder. Curves of a notebook that trains two models are the
#     first one's followed by the second's, and nothing warns.
# Instead: give each run a visualizer name of its own, or train each in its own process.
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
import json
import sys
from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset


class Numbers(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {'numbers': torch.tensor([float(index)])}


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, numbers, mode='tensor'):
        return {'loss': self.layer(torch.stack(numbers)).pow(2).mean()}


def train(work_dir, name):
    loader = {'batch_size': 2, 'dataset': Numbers()}
    Runner(
        Line(), work_dir, log_level='ERROR', experiment_name=work_dir,
        train_dataloader=loader | {'sampler': {'type': 'InfiniteSampler'}},
        train_cfg={'by_epoch': False, 'max_iters': 4},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.01}},
        default_hooks={'logger': {'type': 'LoggerHook', 'interval': 1}},
        log_processor={'by_epoch': False},
        visualizer={
            'type': 'Visualizer',
            'name': name,
            'vis_backends': [{'type': 'LocalVisBackend'}],
        },
    ).train()


def steps(work_dir):
    files = sorted(Path(work_dir).rglob('scalars.json'))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [json.loads(line)['step'] for line in lines]


for work_dir in 'ab':
    train(work_dir, 'visualizer')
for work_dir in 'cd':
    train(work_dir, f'visualizer of {work_dir}')
found = {work_dir: steps(work_dir) for work_dir in 'abcd'}
print('one name:', found['a'], found['b'])
print('own names:', found['c'], found['d'])
own = [1, 2, 3, 4]
if found != {'a': own + own, 'b': [], 'c': own, 'd': own}:
    sys.exit('changed: the second run logs elsewhere')
PY
