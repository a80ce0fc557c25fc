"""The steps of the demo, from the scenes to the summary."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo_budget import Plan, make_plan
from demo_processes import call
from demo_scenes import SIZE, draw_scenes
from demo_stages import CONFIGS, STAGES, Stage, StageSettings, pairs
from demo_summary import Outcome


class Demo:
    """Runs the stages and remembers which of them are done.

    Args:
        args: The command line, see :func:`parse_args`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.work_dir = Path(args.work_dir)
        # How many iterations there are is known once the scenes are drawn.
        self.settings = StageSettings(self.work_dir, (0, 0), args.seed)
        self.pictures = self.work_dir / 'pictures'
        self.state_file = self.work_dir / 'state.json'
        self.state: dict[str, dict[str, Any]] = {}
        if self.state_file.is_file():
            self.state = json.loads(self.state_file.read_text(encoding='utf-8'))
        self.steps = 2 * len(STAGES) + 4

    def run(self) -> None:
        """Run what is missing, from the scenes to the summary."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.draw(1)
        self.plan(2)
        first, *others = STAGES
        self.train(first, 3)
        self.test(first, 4)
        self.curate(5)
        for number, stage in enumerate(others):
            self.train(stage, 6 + 2 * number)
            self.test(stage, 7 + 2 * number)
        self.say(self.steps, 'pictures, curves and summary')
        Outcome(
            work_dir=self.work_dir,
            data=self.settings.data,
            stages=STAGES,
            state=self.state,
            scenes=self.args.scenes,
            chosen=self.num_chosen,
            iters=self.settings.iters,
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

    def plan(self, step: int) -> None:
        """Fix the numbers of iterations: as given, as before, or what the time allows.

        Args:
            step: Number of the step, for the user.
        """
        wish = {'minutes': self.args.minutes, 'iters': self.args.iters}
        known = self.state.get('plan', {})
        if known.get('wish') == wish:
            plan = Plan(**known['plan'])
        elif self.args.iters:
            plan = Plan(self.args.iters)
        else:
            self.say(step, 'measuring how fast this machine trains')
            spent = self.state['draw']['seconds']
            plan = make_plan(self.settings, self.args.minutes, spent)
        self.remember('plan', wish=wish, plan=plan._asdict())
        self.settings = replace(self.settings, iters=plan.iters)
        self.say(step, str(plan))

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
