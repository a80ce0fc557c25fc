#!/usr/bin/env bash
# onedl-mmengine 0.10.12 (torch 2.13.0)
# Behaviour: a run that is resumed with more iterations, a longer T_max of
#     CosineAnnealingLR and another learning rate trains on by the old schedule; the
#     state in the checkpoint replaces what the config says.
# Seen: 20 iterations with T_max=20 and lr=0.1, resumed to 40 with T_max=40 and lr=0.5:
#     the scheduler's T_max is 20; a new run to 40 has 40.
# Why it surprises: max_iters of the same config does take effect, so the run looks
#     extended, while its learning rate is that of another schedule and nothing says so.
# Instead: to train longer, start from the weights (load_from) with a schedule of its
#     own; or resume with the schedule of the first run planned for the whole length.
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

def run(work_dir, iterations, lr, resume=False):
    runner = Runner(
        Line(), work_dir, log_level='ERROR', resume=resume,
        experiment_name=f'{work_dir}{iterations}',
        train_dataloader={
            'batch_size': 2, 'dataset': Numbers(),
            'sampler': {'type': 'InfiniteSampler', 'shuffle': False},
        },
        train_cfg={'by_epoch': False, 'max_iters': iterations},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': lr}},
        param_scheduler={
            'type': 'CosineAnnealingLR', 'T_max': iterations, 'by_epoch': False,
        },
        default_hooks={'checkpoint': {
            'type': 'CheckpointHook', 'by_epoch': False, 'interval': 20
        }},
    )
    runner.train()
    (scheduler,) = runner.param_schedulers
    return runner.iter, scheduler.T_max, scheduler.base_values[0]


run('resumed', 20, 0.1)
resumed = run('resumed', 40, 0.5, resume=True)
new = run('new', 40, 0.5)
for name, (iterations, length, lr) in {'resumed': resumed, 'new': new}.items():
    print(f'{name}: {iterations} iterations, T_max {length}, base lr {lr}')
if resumed != (40, 20, 0.1) or new != (40, 40, 0.5):
    sys.exit('changed: resuming takes more or less of the new schedule')
PY
