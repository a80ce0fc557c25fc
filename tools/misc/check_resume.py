"""Prove on your data that resume and processes change nothing.

    python tools/misc/check_resume.py configs/s4p/vit-t_dubai.py --cfg-options ...

Trains an S4P config for a few iterations: never stopped; killed (SIGKILL) and
resumed; and on two CPU processes that share the batch.  Prints what differs between the
checkpoints of the first two (to the bit), and how far the logged values of the last are
from the first.  For the comparison of processes dropout and drop path are off and the
optimizer is plain SGD in fp32: dropout draws for the batch that a process holds, and
Adam's first steps blow rounding up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from s5_mm.testing.kill_trials import differences, last_checkpoint
from s5_mm.utils.config import load_config

ROOT = Path(__file__).resolve().parents[2]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='S4P config')
    parser.add_argument('--iters', type=int, default=16, help='at least 8')
    parser.add_argument('--work-dir', type=Path, default='work_dirs/check_resume')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE')
    return parser.parse_args()


def settings(iters: int) -> list[str]:
    """Overrides that make the runs short and comparable."""
    return [
        f'train_cfg.max_iters={iters}',
        f'train_cfg.val_interval={iters}',
        'val_dataloader.dataset.indices=1',
        f'default_hooks.checkpoint.interval={iters // 4}',
        'default_hooks.checkpoint.save_best=None',
        f'model.semi_train_cfg.burn_in={iters // 4}',
        'model.semi_train_cfg.conf_thresh=0.5',
        'model.segmentor.backbone.drop_path_rate=0.0',
        'model.segmentor.decode_head.dropout_ratio=0.0',
        'optim_wrapper._delete_=True',
        'optim_wrapper.type=s5_mm.OptimWrapper',
        'optim_wrapper.optimizer.type=SGD',
        'optim_wrapper.optimizer.lr=0.02',
    ]


def start(command: Sequence[str | Path], work_dir: Path) -> subprocess.Popen:
    """Start a training; its output goes to ``<work_dir>.log``."""
    with open(f'{work_dir}.log', 'a', encoding='utf-8') as log:
        return subprocess.Popen(
            [str(part) for part in command],
            stdout=log,
            stderr=log,
            env={**os.environ, 'PYTHON': sys.executable},
            start_new_session=True,
        )


def finish(process: subprocess.Popen, work_dir: Path) -> None:
    """Wait for a training; stop if it failed."""
    if process.wait():
        raise SystemExit(f'training failed, see {work_dir}.log')


def kill_after_first_checkpoint(process: subprocess.Popen, work_dir: Path) -> None:
    """SIGKILL a training and its workers as soon as it can be resumed."""
    while not (work_dir / 'last_checkpoint').exists():
        if process.poll() is not None:
            raise SystemExit(f'training failed, see {work_dir}.log')
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run the trainings and compare them."""
    args = parse_args()
    shutil.rmtree(args.work_dir, ignore_errors=True)
    args.work_dir.mkdir(parents=True)
    whole, killed, two = (args.work_dir / name for name in ('whole', 'killed', 'two'))
    options = ['--cfg-options', *settings(args.iters), *args.cfg_options]
    train = [sys.executable, ROOT / 'tools/train.py', args.config, '--work-dir']
    print(f'training {args.iters} iterations, never stopped', flush=True)
    finish(start([*train, whole, *options], whole), whole)
    print('training, killed after its first checkpoint', flush=True)
    kill_after_first_checkpoint(start([*train, killed, *options], killed), killed)
    print('resuming', flush=True)
    finish(start([*train, killed, '--resume', *options], killed), killed)
    print('training on two processes', flush=True)
    shares = [n // 2 for n in load_config(args.config).train_dataloader.sampler.shares]
    halves = [
        f'train_dataloader.batch_size={sum(shares)}',
        f'train_dataloader.sampler.shares=[{",".join(map(str, shares))}]',
    ]
    script = ['bash', ROOT / 'tools/dist_train.sh', args.config, '2', '--work-dir', two]
    finish(start([*script, *options, *halves], two), two)

    first, resumed, shared = map(last_checkpoint, (whole, killed, two))
    found = differences(first, resumed)
    print(f'killed and resumed: {len(found)} differences', *found[:10])
    for name, history in first['message_hub']['log_scalars'].items():
        if 'time' in name:
            continue
        others = shared['message_hub']['log_scalars'][name].data[0]
        pairs = zip(history.data[0], others, strict=True)
        worst = max(abs(a - b) / max(abs(a), 1e-12) for a, b in pairs)
        print(f'two processes: {name} differs by at most {worst:.1e}')


if __name__ == '__main__':
    main()
