"""Set labels alone beside the semi-supervised recipe on drawn scenes, over three seeds.

Example::

    python tools/demo.py --work-dir work_dirs/demo

Draws scenes of one city in many seasons and lights, keeps the labels of 6 of them, and
trains configs/demo/supervised.py and fixmatch.py once per seed, both from ImageNet
weights.  The seed draws which scenes keep their labels and the training.  Ends with the
mean difference in mIoU and its 95 % interval, learning curves and predictions.  Every
step is a command of this repository and printed.  Interrupted or killed, the same
command goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if __name__ == '__main__':
    # The imports take seconds: say at once what there is to wait for.
    print('loading torch and s5_mm', flush=True)

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from s5_mm.cli.command import CommandParser, start_command  # noqa: E402
from s5_mm.io.processes import command_environment, die_with_parent  # noqa: E402
from s5_mm.io.progress import ProgressLine, duration  # noqa: E402
from s5_mm.lab import (  # noqa: E402
    Comparison,
    compare,
    gain_table,
    read_grid,
    read_results,
)
from s5_mm.testing import METAINFO, write_dataset  # noqa: E402
from s5_mm.visualization import plot_runs, prediction_panel  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
GRID = ROOT / 'configs/lab/demo.py'
SIZE, GSD = 128, (0.2, 0.36)
"""Side of the scenes in pixels, and metres per pixel."""
NUM_LABELLED = 6  # as in configs/demo/fixmatch.py
MIN_PIXELS = 800  # of a class in an image that counts as showing it
TITLES = {'labels_only': 'labels alone', 'recipe': 'semi-supervised'}
_SETTINGS = 'demo.json'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo'), help='(%(default)s)'
    )
    parser.add_argument(
        '--fresh', action='store_true', help='start anew instead of going on'
    )
    parser.add_argument(
        '--scenes',
        type=int,
        nargs=2,
        default=(150, 60),
        metavar=('TRAIN', 'TEST'),
        help='(%(default)s)',
    )
    parser.add_argument(
        '--scene-seed', type=int, default=0, help='draws the scenes (%(default)s)'
    )
    parser.add_argument(
        '--seeds', type=int, nargs='+', help='of the trainings, by default three'
    )
    parser.add_argument('--iters', type=int, help='of each training')
    parser.add_argument(
        '--jobs', type=int, default=2, help='trainings at a time (%(default)s)'
    )
    args = parser.parse_args(argv)
    if min(args.scenes) < 1 or args.scenes[0] <= NUM_LABELLED:
        parser.error(
            f'--scenes {args.scenes[0]} {args.scenes[1]}: expected more than '
            f'{NUM_LABELLED} to train on and at least 1 to test on'
        )
    if args.iters is not None and args.iters < 4:
        parser.error(f'--iters {args.iters}: expected at least 4')
    if not 0 <= args.scene_seed < 2**32:
        parser.error(f'--scene-seed {args.scene_seed}: expected 0 to 2**32 - 1')
    return args


class Demo:
    """The steps of the demo; each skips what is there.

    Args:
        args: The command line.

    Raises:
        ValueError: If the folder holds a demo of other scenes or iterations, or
            another folder is to be removed.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folder = args.work_dir.resolve()
        self.scenes, self.lab = self.folder / 'scenes', self.folder / 'lab'
        settings = {
            'scenes': list(args.scenes),
            'scene_seed': args.scene_seed,
            'iters': args.iters,
        }
        file = self.folder / _SETTINGS
        if args.fresh and self.folder.exists():
            if not file.is_file():
                raise ValueError(
                    f'--fresh: {self.folder} has no {_SETTINGS}, so it is no work '
                    'directory of the demo and is not removed'
                )
            shutil.rmtree(self.folder)
        if file.is_file():
            earlier = json.loads(file.read_text(encoding='utf-8'))
            if earlier != settings:
                raise ValueError(
                    f'{file}: a demo with {earlier}, now it is {settings}; --fresh '
                    'removes it, or choose another --work-dir'
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings) + '\n', encoding='utf-8')
        self.grid = read_grid(self._grid_file()).restrict([], args.seeds or [])

    def _grid_file(self) -> Path:
        """The grid; one in the work directory if it has another length."""
        if self.args.iters is None:
            return GRID
        iters = self.args.iters
        options = {
            'max_iters': iters,
            'train_cfg.val_interval': iters // 4,
            'default_hooks.logger.interval': min(25, iters // 4),
        }
        arms = {name: {'options': options} for name in TITLES}
        path = self.folder / 'grid.py'
        path.write_text(f'_base_ = [{str(GRID)!r}]\narms = {arms!r}\n', 'utf-8')
        return path

    def run(self) -> None:
        """Draw, train, predict and report."""
        seeds = [str(seed) for seed in self.grid.seeds]
        iters = self.grid.config('recipe', self.grid.seeds[0], 'x').train_cfg.max_iters
        print(
            f'{2 * len(seeds)} trainings of {iters} iterations, {self.args.jobs} at a '
            'time; six of 280 take about 6 minutes on two idle cores, 2 GB of memory '
            'and 100 MB in the work directory',
            flush=True,
        )
        train, test = self.args.scenes
        self.say(1, f'draw {train} scenes to train on and {test} to test on')
        write_dataset(
            self.scenes,
            *(train, 0, test, SIZE, self.args.scene_seed),
            gsd=GSD,
            progress=ProgressLine('draw', 'scenes'),
        )
        self.say(2, f'draw which {NUM_LABELLED} of {train} scenes keep their labels')
        self.call(
            'tools/misc/s4_splits.py',
            *(self.scenes, '--classes', *METAINFO['classes'], '--seeds', *seeds),
            *('--labelled', NUM_LABELLED, '--test', '^img_dir/val/', '--stratify'),
            *('--min-pixels', MIN_PIXELS, '--out', self.scenes / 'splits'),
        )
        self.say(3, 'train labels alone and the recipe')
        self.call(
            'tools/analysis_tools/s4_lab.py',
            *(self.grid.path, '--data', self.scenes, '--work-dir', self.lab),
            *('--jobs', self.args.jobs, '--seeds', *seeds),
        )
        self.say(4, 'predict the test scenes with the models of the first seed')
        for arm in TITLES:
            self.predict(arm, seeds[0])
        self.say(5, 'curves, pictures and summary')
        self.report()

    def say(self, step: int, text: str) -> None:
        """Announce a step."""
        print(f'\n[{step}/5] {text}', flush=True)

    def call(self, *words: object, log: Path | None = None) -> None:
        """Run a command of this repository and wait for it.

        Args:
            words: Its path from the root of the repository, and its arguments.
            log: File that its output goes to, by default the screen.

        Raises:
            SystemExit: If it fails.
            KeyboardInterrupt: At Ctrl-C, after it has saved its state.
        """
        script, *rest = map(str, words)
        print(f'$ python {shlex.join([os.path.relpath(ROOT / script), *rest])}')
        sys.stdout.flush()
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open('wb')) if log else None
            process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', str(ROOT / script), *rest],
                env=command_environment(ROOT),
                stdout=output,
                stderr=output,
                # Ctrl-C reaches this process alone, which then passes it on once.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            try:
                code = process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGTERM)
                process.wait()
                raise
        if code:
            where = f'; its output is in {log}' if log else ''
            print(f'{script} ended with status {code}{where}', file=sys.stderr)
            raise SystemExit(code)

    def predict(self, arm: str, seed: str) -> None:
        """Write what the last model of a run predicts, unless it is there."""
        run, out = self.lab / arm / f'seed_{seed}', self.folder / 'predictions' / arm
        checkpoint = (run / 'last_checkpoint').read_text(encoding='utf-8')
        note = out / 'checkpoint.txt'
        if note.is_file() and note.read_text(encoding='utf-8') == checkpoint:
            return
        out.mkdir(parents=True, exist_ok=True)
        self.call(
            'tools/test.py',
            *(self.lab / 'configs' / arm / f'seed_{seed}.py', checkpoint),
            *('--work-dir', out, '--out', out / 'masks'),
            log=out / 'test.log',
        )
        note.write_text(checkpoint, encoding='utf-8')

    def report(self, count: int = 6) -> None:
        """Write curves, pictures and summary, and print the difference."""
        results = read_results(self.lab)
        runs = {
            title: [self.lab / run.path for run in results.arms[arm]]
            for arm, title in TITLES.items()
        }
        keys = ['loss_sup', 'mask_ratio', 'mIoU']
        plot_runs(runs, keys, self.folder / 'curves.png', window=3)
        names = sorted(path.name for path in (self.scenes / 'img_dir/val').iterdir())
        folders = [self.scenes / 'ann_dir/val']
        folders += [self.folder / 'predictions' / arm / 'masks' for arm in TITLES]
        panel = prediction_panel(
            [_read(self.scenes / 'img_dir/val' / name) for name in names[:count]],
            [[_read(folder / name) for folder in folders] for name in names[:count]],
            ['image', 'truth', *TITLES.values()],
            **METAINFO,
        )
        cv2.imwrite(str(self.folder / 'predictions.png'), panel[..., ::-1])
        found = compare(results.arms, results.against)
        text = _summary(found, self.args.scenes)
        (self.folder / 'summary.md').write_text(text, encoding='utf-8')
        print(f'{text}\nwritten to {self.folder}: summary.md, curves.png and more')


def _summary(found: Comparison, scenes: Sequence[int]) -> str:
    """Put the result into words, as Markdown."""
    base = next(gain for gain in found.gains if gain.arm == 'labels_only')
    ours = next(gain for gain in found.gains if gain.arm == 'recipe')
    line = f'Labels alone {np.mean(base.ours):.1f} mIoU, '
    line += f'semi-supervised {np.mean(ours.ours):.1f}: '
    difference = ours.difference
    line += f'{difference.mean:+.1f}'
    if difference.std is not None:
        line += (
            f', 95 % interval {difference.low:+.1f} to {difference.high:+.1f} over '
            f'{len(ours.ours)} seeds'
        )
    train, test = scenes
    return f"""# Labels alone and the semi-supervised recipe on drawn scenes

**{line}.**

{NUM_LABELLED} of {train} scenes have labels, the recipe sees the other
{train - NUM_LABELLED} without; {test} scenes test. Both start from ImageNet weights.

{gain_table(found, 'mIoU', markdown=True)}

![test scenes](predictions.png)
![learning curves](curves.png)
"""


def _read(path: Path) -> np.ndarray:
    """Read a picture as uint8 RGB (H, W, 3), or a mask (H, W)."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image if image.ndim == 2 else image[..., ::-1]


def _interrupt(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo."""
    args = parse_args(argv)
    start = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    demo = Demo(args)
    try:
        demo.run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt('the same command goes on from here') from None
    print(f'{duration(time.monotonic() - start)} in all')


if __name__ == '__main__':
    start_command(main)
