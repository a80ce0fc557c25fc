"""Curate and pre-train on drawn scenes, and set supervised-only beside FixMatch.

Draws a few labelled and many unlabelled scenes, trains an initial model on the
labels, lets it choose half of the unlabelled scenes, and continues it, once on the
labels alone and once with FixMatch on what was chosen.  Ends with both mIoU, pictures,
curves and the report of the choice in the work directory.  Interrupted, the next call
goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from demo_summary import Outcome, Stage

from s5_mm.curation.hashing import file_sha256
from s5_mm.testing import write_dataset
from s5_mm.utils.config import load_config
from s5_mm.utils.processes import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
SIZE = 128
# Defects of the unlabelled images, per thousand.
BROKEN = dict(flat=5, no_data=8, stripes=5, truncated=3, empty=3)
LINE = re.compile(r'Iter\((train|val|test)\) \[ *(\d+)/(\d+)\]\s*(.*)')
VALUE = re.compile(r'(\w+): +([\d.:e+-]+)')


STAGES = (
    Stage('warm_start', 'initial model', ''),
    Stage('supervised', 'supervised-only', 'warm_start'),
    Stage('fixmatch', 'FixMatch (S4P)', 'warm_start'),
)


class Demo:
    """Runs the stages and remembers which of them are done.

    Args:
        args: The command line, see :func:`parse_args`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.work_dir = Path(args.work_dir)
        self.data = self.work_dir / 'data'
        self.pictures = self.work_dir / 'pictures'
        self.state_file = self.work_dir / 'state.json'
        self.state: dict[str, dict[str, Any]] = {}
        if self.state_file.is_file():
            self.state = json.loads(self.state_file.read_text(encoding='utf-8'))
        self.curation = self.work_dir / 'curation'
        self.steps = 2 * len(STAGES) + 3

    def run(self) -> None:
        """Run what is missing, from the scenes to the summary."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.draw(1)
        first, *others = STAGES
        self.train(first, 2)
        self.test(first, 3)
        self.curate(4)
        for number, stage in enumerate(others):
            self.train(stage, 5 + 2 * number)
            self.test(stage, 6 + 2 * number)
        self.say(self.steps, 'pictures, curves and summary')
        args = self.args
        Outcome(
            work_dir=self.work_dir,
            data=self.data,
            stages=STAGES,
            state=self.state,
            scenes=args.scenes,
            chosen=self.num_chosen,
            iters=args.iters,
            seed=args.seed,
            size=SIZE,
        ).show()

    # -- stages ---------------------------------------------------------------
    def draw(self, step: int) -> None:
        """Draw the scenes.

        Args:
            step: Number of the step, for the user.
        """
        labelled, unlabelled, val = self.args.scenes
        self.say(
            step,
            f'{labelled} labelled, {unlabelled} unlabelled and {val} validation scenes',
        )
        start = time.time()
        marks = iter(range(25, 101, 25))
        mark = next(marks)

        def progress(done: int, total: int) -> None:
            nonlocal mark
            if 100 * done >= mark * total:
                print(f'      {done}/{total} scenes drawn', flush=True)
                mark = next(marks, 101)

        write_dataset(
            self.data,
            labelled,
            unlabelled,
            val,
            SIZE,
            self.args.seed,
            {kind: n * unlabelled // 1000 for kind, n in BROKEN.items()},
            gsd=(0.22, 0.4),
            progress=progress,
        )
        if mark != 25:  # otherwise they were there before
            self.remember('draw', seconds=time.time() - start)

    def train(self, stage: Stage, step: int) -> None:
        """Train a stage, from its last checkpoint if there is one.

        Args:
            stage: The stage.
            step: Number of the step, for the user.
        """
        folder = self.work_dir / stage.name
        config = ROOT / 'configs' / 'demo' / f'{stage.name}.py'
        options = self.options(stage)
        fingerprint = self.fingerprint(stage, config, options)
        known = self.state.get(stage.name, {})
        if known.get('fingerprint') != fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            self.state.pop(stage.name, None)
            self.remember(stage.name, fingerprint=fingerprint, seconds=0.0)
        elif known.get('trained'):
            self.say(step, f'{stage.title}: trained before, {known["seconds"]:.0f} s')
            return
        resume = (folder / 'last_checkpoint').is_file()
        iters = self.iterations(stage)
        self.say(
            step,
            f'{stage.title}: {"go on to" if resume else "train"} {iters} iterations',
        )
        command = ['tools/train.py', config, '--work-dir', folder]
        command += ['--resume'] if resume else []
        before, start = self.state[stage.name]['seconds'], time.time()
        try:
            self.call([*command, '--cfg-options', *pairs(options)])
        finally:
            self.remember(stage.name, seconds=before + time.time() - start)
        self.remember(stage.name, trained=True)

    def test(self, stage: Stage, step: int) -> None:
        """Evaluate a trained stage and keep its predictions.

        Args:
            stage: The stage.
            step: Number of the step, for the user.
        """
        known = self.state[stage.name].get('metrics')
        if known:
            self.say(step, f'{stage.title}: evaluated before, mIoU {known["mIoU"]:.2f}')
            return
        self.say(step, f'{stage.title}: evaluate')
        folder = self.work_dir / stage.name / 'test'
        shutil.rmtree(folder, ignore_errors=True)
        config = ROOT / 'configs' / 'demo' / f'{stage.name}.py'
        command = [
            'tools/test.py',
            config,
            self.checkpoint(stage),
            '--work-dir',
            folder,
        ]
        data = f'data_root={self.data}/'
        self.call([*command, '--out', folder / 'masks', '--cfg-options', data])
        (file,) = folder.glob('*/*.json')
        metrics = json.loads(file.read_text(encoding='utf-8'))
        self.remember(stage.name, metrics=metrics)
        print(f'      mIoU {metrics["mIoU"]:.2f}', flush=True)

    def curate(self, step: int) -> None:
        """Let the initial model choose half of the unlabelled scenes.

        Args:
            step: Number of the step, for the user.
        """
        number, clusters = self.num_chosen, max(self.args.scenes[0] // 4, 1)
        known = self.state.get('curation', {})
        fingerprint = self.state[STAGES[0].name]['fingerprint']
        if known.get('fingerprint') != fingerprint:
            known = {}
        elif known.get('done'):
            self.say(step, f'curation: {number} scenes chosen before')
            return
        self.say(step, f'curation: choose {number} of {self.args.scenes[1]} scenes')
        start = time.time()
        checkpoint = self.checkpoint(STAGES[0])
        command = ['data_curation/curate.py', 'run', ROOT / 'configs/curation/demo.py']
        command += ['--work-dir', self.curation]
        if not known:
            command += ['--redo', 'plan']  # what is there is another model's choice
            self.remember('curation', fingerprint=fingerprint, seconds=0.0, done=False)
        self.call(
            [
                *command,
                '--cfg-options',
                f'data_root={self.data}/',
                f'scorer.config={ROOT}/configs/curation/score_demo.py',
                f'scorer.checkpoint={checkpoint}',
                f'selection.num_selected={number}',
                f'prototypes.num_clusters={clusters}',
            ]
        )
        shutil.copyfile(
            self.curation / 'report/report.html', self.work_dir / 'curation.html'
        )
        seconds = self.state['curation']['seconds'] + time.time() - start
        self.remember('curation', seconds=seconds, done=True)

    @property
    def num_chosen(self) -> int:
        """Number of unlabelled scenes that curation chooses."""
        return self.args.scenes[1] // 2

    # -- settings of a stage ----------------------------------------------------
    def iterations(self, stage: Stage) -> int:
        """Number of iterations of a stage."""
        return self.args.iters[0 if not stage.start else 1]

    def options(self, stage: Stage) -> dict[str, Any]:
        """Settings that override those of the stage's config."""
        iters = self.iterations(stage)
        rise, quarter = min(30, iters // 2), max(iters // 4, 1)
        options: dict[str, Any] = {
            'data_root': f'{self.data}/',
            'randomness.seed': self.args.seed,
            'train_cfg.max_iters': iters,
            'train_cfg.val_interval': quarter,
            'default_hooks.logger.interval': min(25, quarter),
            'param_scheduler.0.end': rise,
            'param_scheduler.1.begin': rise,
            'param_scheduler.1.end': iters,
            'param_scheduler.1.T_max': iters - rise,
        }
        if stage.start:
            start = next(other for other in STAGES if other.name == stage.start)
            options['load_from'] = str(self.checkpoint(start))
        if stage.name == 'fixmatch':
            unlabelled = 'train_dataloader.dataset.sources.unsup'
            options[f'{unlabelled}.shards'] = str(self.curation / 'shards')
            options[f'{unlabelled}.data_dir'] = None
            options['custom_hooks.0.interval'] = min(25, quarter)
            options['custom_hooks.1.interval'] = quarter
        return options

    def checkpoint(self, stage: Stage) -> Path:
        """The last checkpoint of a stage."""
        return self.work_dir / stage.name / f'iter_{self.iterations(stage)}.pth'

    def fingerprint(self, stage: Stage, config: Path, options: dict[str, Any]) -> str:
        """Identify everything that the result of a stage depends on."""
        cfg = load_config(str(config), options)
        stamp = (self.data / 'dataset.json').read_text(encoding='utf-8')
        before = self.state.get(stage.start, {}).get('fingerprint', '')
        manifest = self.curation / 'manifest.parquet'
        choice = file_sha256(manifest) if stage.name == 'fixmatch' else ''
        text = '\n'.join([cfg.pretty_text, stamp, before, choice])
        return hashlib.sha256(text.encode()).hexdigest()

    # -- processes ----------------------------------------------------------------
    def call(self, command: list[str | Path]) -> None:
        """Run a command of this repository and show its progress.

        Args:
            command: Its path from the root of the repository, and its arguments.

        Raises:
            SystemExit: If it fails; its last lines are printed.
            KeyboardInterrupt: If the user interrupts; it has saved its state then.
        """
        environment = {
            **os.environ,
            'PYTHONUNBUFFERED': '1',
            # Threads that spin while they wait are slow when other work runs.
            'OMP_WAIT_POLICY': 'PASSIVE',
            'PYTHONPATH': os.pathsep.join(
                [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
            ),
        }
        script, *rest = map(str, command)
        process = subprocess.Popen(
            [sys.executable, str(ROOT / script), *rest],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            # Ctrl-C reaches this process alone, which then asks for a checkpoint.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        last: deque[str] = deque(maxlen=40)
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                if short := condense(line):
                    print(f'      {short}', flush=True)
            code = process.wait()
        except KeyboardInterrupt:
            print('\nsaving a checkpoint ...', flush=True)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                process.kill()
            raise
        if code:
            print('\n'.join(last))
            raise SystemExit(f'{script} ended with status {code}; its log is above')

    # -- what the user sees ---------------------------------------------------------
    def say(self, step: int, text: str) -> None:
        """Announce a step."""
        print(f'[{step}/{self.steps}] {text}', flush=True)

    def remember(self, name: str, **values: Any) -> None:
        """Write down what is known of a stage; never half a file."""
        self.state.setdefault(name, {}).update(values)
        aside = self.state_file.with_suffix('.tmp')
        aside.write_text(json.dumps(self.state, indent=2) + '\n', encoding='utf-8')
        aside.replace(self.state_file)


def condense(line: str) -> str:
    """Shorten a line of the log to what a user wants to see.

    Args:
        line: A line of mmengine's log.

    Returns:
        The short line, '' for nothing.
    """
    match = LINE.search(line)
    if not match:
        loud = ' - ERROR - ' in line or 'no pseudo-label' in line
        return line.strip() if loud else ''
    mode, now, last, rest = match.groups()
    values = dict(VALUE.findall(rest))
    if mode != 'train':
        known = mode == 'val' and 'mIoU' in values
        return f'{" ":6}validation: mIoU {values["mIoU"]}' if known else ''
    shown = [f'{key} {values[key]}' for key in ('loss', 'mask_ratio') if key in values]
    eta = values.get('eta', '?')
    return f'{now:>5}/{last}  eta {eta}  {values.get("time", "?")} s/it  ' + '  '.join(
        shown
    )


def pairs(options: dict[str, Any]) -> list[str]:
    """Write settings as arguments of ``--cfg-options``."""
    return [f'{key}={value}' for key, value in options.items()]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--fresh', action='store_true', help='start anew instead of going on'
    )
    parser.add_argument(
        '--scenes',
        type=int,
        nargs=3,
        default=(16, 400, 80),
        metavar=('LABELLED', 'UNLABELLED', 'VAL'),
    )
    parser.add_argument(
        '--iters',
        type=int,
        nargs=2,
        default=(800, 500),
        metavar=('INITIAL', 'CONTINUED'),
        help='iterations of the initial model, and of each way to continue it',
    )
    return parser.parse_args(argv)


def _interrupt(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> None:
    """Run the demo."""
    args = parse_args(argv)
    args.work_dir = os.path.abspath(args.work_dir)
    if args.fresh and os.path.exists(args.work_dir):
        if not os.path.isfile(os.path.join(args.work_dir, 'state.json')):
            raise SystemExit(
                f'--fresh: {args.work_dir} has no state.json, so it is no work '
                'directory of the demo and is not removed'
            )
        shutil.rmtree(args.work_dir)
    signal.signal(signal.SIGTERM, _interrupt)
    start = time.time()
    try:
        Demo(args).run()
    except KeyboardInterrupt:
        print('interrupted; the same command goes on from here', flush=True)
        raise SystemExit(130) from None
    print(f'{time.time() - start:.0f} s in all')


if __name__ == '__main__':
    main()
