"""Curate and pre-train on drawn scenes, and set supervised-only beside FixMatch.

Draws a few labelled and many unlabelled scenes, trains an initial model on the
labels, lets it choose half of the unlabelled scenes, and continues it, once on the
labels alone and once with FixMatch on what was chosen.  Ends with both mIoU, pictures,
curves and the report of the choice in the work directory.  Interrupted, the next call
goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from demo_processes import call
from demo_scenes import SIZE, draw_scenes
from demo_stages import CONFIGS, STAGES, Stage, StageSettings, pairs
from demo_summary import Outcome

from s5_mm.cli.command import CommandParser, start_command


class Demo:
    """Runs the stages and remembers which of them are done.

    Args:
        args: The command line, see :func:`parse_args`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.work_dir = Path(args.work_dir)
        self.settings = StageSettings(self.work_dir, args.iters, args.seed)
        self.pictures = self.work_dir / 'pictures'
        self.state_file = self.work_dir / 'state.json'
        self.state: dict[str, dict[str, Any]] = {}
        if self.state_file.is_file():
            self.state = json.loads(self.state_file.read_text(encoding='utf-8'))
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
        Outcome(
            work_dir=self.work_dir,
            data=self.settings.data,
            stages=STAGES,
            state=self.state,
            scenes=self.args.scenes,
            chosen=self.num_chosen,
            iters=self.args.iters,
            seed=self.args.seed,
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
        if draw_scenes(self.settings.data, self.args.scenes, self.args.seed):
            self.remember('draw', seconds=time.time() - start)

    def train(self, stage: Stage, step: int) -> None:
        """Train a stage, from its last checkpoint if there is one.

        Args:
            stage: The stage.
            step: Number of the step, for the user.
        """
        folder = self.work_dir / stage.name
        before = self.state.get(stage.start, {}).get('fingerprint', '')
        fingerprint = self.settings.fingerprint(stage, before)
        known = self.state.get(stage.name, {})
        if known.get('fingerprint') != fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            self.state.pop(stage.name, None)
            self.remember(stage.name, fingerprint=fingerprint, seconds=0.0)
        elif known.get('trained'):
            self.say(step, f'{stage.title}: trained before, {known["seconds"]:.0f} s')
            return
        resume = (folder / 'last_checkpoint').is_file()
        iters = self.settings.iterations(stage)
        self.say(
            step,
            f'{stage.title}: {"go on to" if resume else "train"} {iters} iterations',
        )
        command = ['tools/train.py', stage.config, '--work-dir', folder]
        command += ['--resume'] if resume else []
        command += ['--cfg-options', *pairs(self.settings.options(stage))]
        spent, start = self.state[stage.name]['seconds'], time.time()
        try:
            call(command)
        finally:
            self.remember(stage.name, seconds=spent + time.time() - start)
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
        command = ['tools/test.py', stage.config]
        command += [self.settings.checkpoint(stage), '--work-dir', folder]
        data = f'data_root={self.settings.data}/'
        call([*command, '--out', folder / 'masks', '--cfg-options', data])
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
        settings = self.settings
        command = ['data_curation/curate.py', 'run', CONFIGS / 'curation/demo.py']
        command += ['--work-dir', settings.curation]
        if not known:
            command += ['--redo', 'plan']  # what is there is another model's choice
            self.remember('curation', fingerprint=fingerprint, seconds=0.0, done=False)
        command += [
            '--cfg-options',
            f'data_root={settings.data}/',
            f'scorer.config={CONFIGS}/curation/score_demo.py',
            f'scorer.checkpoint={settings.checkpoint(STAGES[0])}',
            f'selection.num_selected={number}',
            f'prototypes.num_clusters={clusters}',
        ]
        call(command)
        shutil.copyfile(
            settings.curation / 'report/report.html', self.work_dir / 'curation.html'
        )
        seconds = self.state['curation']['seconds'] + time.time() - start
        self.remember('curation', seconds=seconds, done=True)

    @property
    def num_chosen(self) -> int:
        """Number of unlabelled scenes that curation chooses."""
        return self.args.scenes[1] // 2

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


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
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
            raise ValueError(
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
    start_command(main)
