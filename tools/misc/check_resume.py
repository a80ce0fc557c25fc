"""Prove on your data that resume and processes change nothing.

    python tools/misc/check_resume.py CONFIG --cfg-options data_root=DATA

Trains an S4P config for a few iterations: never stopped; killed (SIGKILL) and
resumed; and on two CPU processes that share the batch.  Prints what differs between the
checkpoints of the first two (to the bit), and how far the logged values of the last are
from the first.  For the comparison of processes dropout and drop path are off and the
optimizer is plain SGD in fp32: dropout draws for the batch that a process holds, and
Adam's first steps blow rounding up.

    python tools/misc/check_resume.py CONFIG --full --cfg-options data_root=DATA

trains the config as it is, to its end, kills the second run at a random moment of each
third of the schedule, and adds the mIoU of every run, from the training itself and
from tools/test.py on its last checkpoint.  With ``--exact`` dropout and drop path are
off and all is fp32, so that processes differ by rounding alone; AdamW lets it grow.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.config import Config

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint
from s5_mm.cli.arguments import OptionsAction
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.visualization import read_scalars

ROOT = Path(__file__).resolve().parents[2]
PROGRESS = re.compile(r'Iter\(train\) +\[ *(\d+)/\d+\].* time: ([\d.]+)')
TESTED = re.compile(r'Iter\(test\).* mIoU: ([\d.]+)')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='S4P config')
    parser.add_argument('--iters', type=int, default=16, help='at least 8')
    parser.add_argument('--full', action='store_true', help='the whole schedule')
    parser.add_argument(
        '--exact',
        action='store_true',
        help='with --full: no dropout, no drop path, fp32',
    )
    parser.add_argument(
        '--runs',
        nargs='*',
        choices=['killed', 'two'],
        default=['killed', 'two'],
        help='what to compare with the run that is never stopped',
    )
    parser.add_argument(
        '--whole',
        type=Path,
        metavar='WORK_DIR',
        help='of a finished training with the same settings, in place of a new one',
    )
    parser.add_argument('--kills', type=int, default=3, help='with --full')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the moments of the kills'
    )
    parser.add_argument('--work-dir', type=Path, default='work_dirs/check_resume')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        default={},
    )
    return parser.parse_args(argv)


def shorten(cfg: Config, iters: int) -> None:
    """Make the runs short and comparable."""
    cfg.merge_from_dict(
        {
            'train_cfg.max_iters': iters,
            'train_cfg.val_interval': iters,
            'val_dataloader.dataset.indices': 1,
            'default_hooks.checkpoint.interval': iters // 4,
            'default_hooks.checkpoint.save_best': None,
            'model.semi_train_cfg.burn_in': iters // 4,
            'model.semi_train_cfg.conf_thresh': 0.5,
        }
    )
    cfg.optim_wrapper = dict(
        type='s5_mm.OptimWrapper',
        optimizer=dict(type='SGD', lr=0.02),
        accumulative_counts=cfg.optim_wrapper.get('accumulative_counts', 1),
    )
    drop_nothing(cfg)


def drop_nothing(cfg: Config) -> None:
    """Turn off what draws for the batch that a process holds."""
    cfg.model.segmentor.backbone.drop_path_rate = 0.0
    cfg.model.segmentor.decode_head.dropout_ratio = 0.0


def use_fp32(cfg: Config) -> None:
    """Keep the optimizer, leave mixed precision."""
    cfg.optim_wrapper.type = 's5_mm.OptimWrapper'
    for key in ('dtype', 'loss_scale'):
        cfg.optim_wrapper.pop(key, None)


def kill_moments(iters: int, kills: int, seed: int) -> list[float]:
    """Draw when to kill: one iteration in each of ``kills`` equal parts."""
    draws = random.Random(seed)
    return [iters / kills * (part + draws.random()) for part in range(kills)]


def start(command: Sequence[str | Path], log: Path) -> subprocess.Popen:
    """Start a training or a test; its output goes to the end of ``log``."""
    with log.open('a', encoding='utf-8') as file:
        return subprocess.Popen(
            [str(part) for part in command],
            stdout=file,
            stderr=file,
            env={**os.environ, 'PYTHON': sys.executable},
            start_new_session=True,
        )


def finish(process: subprocess.Popen, log: Path) -> None:
    """Wait for the end; stop if it failed."""
    if process.wait():
        raise SystemExit(f'failed, see {log}')


def kill_when(ready: Callable[[], bool], process: subprocess.Popen, log: Path) -> bool:
    """SIGKILL a training and its workers.

    Args:
        ready: Function that says, 20 times a second, whether it is time.
        process: The training.
        log: Its output.

    Returns:
        Whether it was still running.
    """
    while not ready():
        if process.poll() is not None:
            finish(process, log)
            return False
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


class Position:
    """Where a training is, between the lines of its log.

    Args:
        log: Output of the training; what it holds already is of an earlier one.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0
        self._line: tuple[str, str] | None = None
        self._seen = 0.0

    def __call__(self) -> float:
        """Last logged iteration, and what fits into the time since then."""
        with self._log.open(encoding='utf-8', errors='replace') as file:
            file.seek(self._offset)
            lines = PROGRESS.findall(file.read())
        if not lines:
            return 0.0
        if lines[-1] != self._line:
            self._line, self._seen = lines[-1], time.monotonic()
        iteration, pace = lines[-1]
        return int(iteration) + (time.monotonic() - self._seen) / float(pace)


class Check:
    """The runs of one call.

    Args:
        args: The command line, see :func:`parse_args`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.cfg = load_config(args.config, args.cfg_options)
        if not args.full:
            shorten(self.cfg, args.iters)
        elif args.exact:
            drop_nothing(self.cfg)
            use_fp32(self.cfg)
        self.iters = self.cfg.train_cfg.max_iters

    def folder(self, name: str) -> Path:
        """Work directory of a run."""
        if name == 'whole' and self.args.whole:
            return self.args.whole
        return self.args.work_dir / name

    def log(self, name: str) -> Path:
        """File with the output of a run."""
        return self.args.work_dir / f'{name}.log'

    def config(self, name: str, **changes: object) -> Path:
        """Write the config of a run; ``changes`` have ``__`` for dots."""
        cfg = Config(self.cfg._cfg_dict.to_dict())
        cfg.merge_from_dict({k.replace('__', '.'): v for k, v in changes.items()})
        path = self.args.work_dir / f'{name}.py'
        cfg.dump(path)
        return path

    def train(self, name: str, config: Path, *arguments: str) -> subprocess.Popen:
        """Start a training on one process."""
        command = [sys.executable, ROOT / 'tools/train.py', config, *arguments]
        return start([*command, '--work-dir', self.folder(name)], self.log(name))

    def run_whole(self) -> None:
        """Train without a stop."""
        config = self.config('whole')
        if self.args.whole:
            return
        print(f'training {self.iters} iterations, never stopped', flush=True)
        finish(self.train('whole', config), self.log('whole'))

    def run_killed(self) -> None:
        """Train, kill and resume until enough have died; leave the last one alone."""
        folder, log = self.folder('killed'), self.log('killed')
        if self.args.full:
            # Closer checkpoints, so that a kill costs little.
            step = max(1, self.iters // 20)
            config = self.config('killed', default_hooks__checkpoint__interval=step)
            moments = kill_moments(self.iters, self.args.kills, self.args.seed)
        else:
            config, moments = self.config('killed'), [0.0]
        for moment in moments:
            when = f'around iteration {moment:.0f}' if self.args.full else 'soon'
            print(f'training, to be killed {when}', flush=True)
            position = Position(log)
            process = self.train('killed', config, '--resume')

            def ready(position: Position = position, moment: float = moment) -> bool:
                if not self.args.full:  # as soon as it can be resumed
                    return (folder / 'last_checkpoint').exists()
                return position() >= moment

            if not kill_when(ready, process, log):
                print('  it was finished before')
                continue
            pointer = folder / 'last_checkpoint'
            left = Path(pointer.read_text()).name if pointer.exists() else 'nothing'
            print(f'  killed around iteration {position():.0f}, left {left}')
        print('resuming', flush=True)
        finish(self.train('killed', config, '--resume'), log)

    def run_two(self) -> None:
        """Train on two processes, each with half of every share."""
        print('training on two processes', flush=True)
        shares = [n // 2 for n in self.cfg.train_dataloader.sampler.shares]
        config = self.config(
            'two',
            train_dataloader__batch_size=sum(shares),
            train_dataloader__sampler__shares=shares,
        )
        script = ['bash', ROOT / 'tools/dist_train.sh', config, '2']
        command = [*script, '--work-dir', self.folder('two')]
        finish(start(command, self.log('two')), self.log('two'))

    def compare(self, name: str) -> None:
        """Print how a run differs from the one that was never stopped."""
        first, other = (last_checkpoint(self.folder(run)) for run in ('whole', name))
        if name == 'killed':
            found = checkpoint_differences(first, other)
            print(f'killed and resumed: {len(found)} differences', *found[:10])
            return
        for key, history in first['message_hub']['log_scalars'].items():
            if 'time' in key:
                continue
            others = other['message_hub']['log_scalars'][key].data[0]
            pairs = zip(history.data[0], others, strict=True)
            apart = [abs(a - b) for a, b in pairs]
            early = max(apart[: max(1, len(apart) // 10)])
            largest = max(map(abs, history.data[0]))
            print(
                f'two processes: {key} differs by at most {max(apart):.1e}, '
                f'in the first tenth by {early:.1e}; values reach {largest:.2e}'
            )

    def test(self, name: str) -> float:
        """Take the mIoU of the last checkpoint of a run, by ``tools/test.py``."""
        log = self.log(f'{name}_test')
        checkpoint = (self.folder(name) / 'last_checkpoint').read_text()
        config, folder = self.args.work_dir / 'whole.py', log.with_suffix('')
        command = [sys.executable, ROOT / 'tools/test.py', config, checkpoint]
        finish(start([*command, '--work-dir', folder], log), log)
        return float(TESTED.findall(log.read_text(encoding='utf-8'))[-1])

    def figures(self, runs: Sequence[str]) -> None:
        """Print the mIoU of every run, as it ended and as it tests."""
        print('\n| run | mIoU at the end | tools/test.py |\n|---|---|---|')
        for name in runs:
            curve = read_scalars(self.folder(name))['mIoU']
            end, tested = curve[max(curve)], self.test(name)
            print(f'| {name} | {end:.2f} | {tested:.2f} |', flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the trainings and compare them."""
    args = parse_args(argv)
    check = Check(args)
    shutil.rmtree(args.work_dir, ignore_errors=True)
    args.work_dir.mkdir(parents=True)
    check.run_whole()
    for name in args.runs:
        {'killed': check.run_killed, 'two': check.run_two}[name]()
    for name in args.runs:
        check.compare(name)
    if args.full:
        check.figures(['whole', *args.runs])


if __name__ == '__main__':
    start_command(main)
