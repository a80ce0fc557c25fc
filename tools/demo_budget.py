"""How many iterations of the demo fit into its time on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import NamedTuple

from demo_processes import call
from demo_stages import STAGES, Stage, StageSettings, pairs

from s5_mm.visualization import read_scalars

FULL = 800, 500
"""Iterations of the initial model and of what continues it, in ten minutes or less."""
_FEWEST = 0.05  # of FULL
# Iterations that are timed: the log has the mean of the last ten of these.
_TIMED = 14
# Everything else than iterations, in starts of a training: three trainings and their
# tests, curation with its scoring (about four), further validations and the pictures.
_STARTS = 12
_RESERVE = 0.05


class Plan(NamedTuple):
    """Iterations of the demo.

    Attributes:
        iters: Of the initial model, and of each way to continue it.
        speed: Seconds per iteration, supervised and FixMatch; None if not measured.
        minutes: Of the whole demo, as expected from the speed.
    """

    iters: Sequence[int]
    speed: Sequence[float] | None = None
    minutes: float = 0.0

    def __str__(self) -> str:
        initial, continued = self.iters
        text = f'{initial} iterations, then {continued} without and with FixMatch'
        if self.speed is None:
            return text
        supervised, fixmatch = self.speed
        return (
            f'{text}: about {self.minutes:.0f} minutes in all at {supervised:.2f} and '
            f'{fixmatch:.2f} s per iteration'
        )


def make_plan(settings: StageSettings, minutes: float, spent: float) -> Plan:
    """Measure how fast a machine trains and fit the demo into a time.

    Args:
        settings: Of the trainings; the scenes are drawn.
        minutes: Time of the whole demo.
        spent: Seconds of it that have passed.

    Returns:
        The plan.
    """
    start = time.time()
    _, supervised, fixmatch = STAGES
    overhead, slow = measure(settings, fixmatch)
    overhead, fast = measure(settings, supervised)
    spent += time.time() - start
    return fit(minutes, spent, overhead, (fast, slow))


def fit(
    minutes: float, spent: float, overhead: float, speed: tuple[float, float]
) -> Plan:
    """Fit the demo into a time.

    Args:
        minutes: Time of the whole demo.
        spent: Seconds of it that have passed.
        overhead: Seconds of a training beyond its iterations.
        speed: Seconds per iteration, supervised and FixMatch.

    Returns:
        The plan: a share of :data:`FULL`, the same of both numbers, that is below 1 on
        slow machines, and above it only where more than ten minutes were asked for.
    """
    initial, continued = FULL
    work = initial * speed[0] + continued * sum(speed)
    others = spent + _STARTS * overhead
    share = (60 * minutes * (1 - _RESERVE) - others) / work
    share = min(max(share, _FEWEST), max(minutes / 10, 1.0))
    iters = int(initial * share), int(continued * share)
    return Plan(iters, speed, (others + share * work) / 60)


def measure(settings: StageSettings, stage: Stage) -> tuple[float, float]:
    """Train a stage for a few iterations.

    Args:
        settings: Of the trainings.
        stage: The stage; it starts at random, on all unlabelled scenes.

    Returns:
        Seconds that a training takes beyond its iterations, with one validation, and
        seconds per iteration.
    """
    folder = settings.work_dir / 'speed' / stage.name
    shutil.rmtree(folder, ignore_errors=True)
    options = {
        'data_root': f'{settings.data}/',
        'train_cfg.max_iters': _TIMED + 1,
        'train_cfg.val_interval': _TIMED + 1,
        'default_hooks.logger.interval': _TIMED,
    }
    command = ['tools/train.py', stage.config, '--work-dir', folder]
    start = time.time()
    call([*command, '--cfg-options', *pairs(options)], shown=False)
    seconds = time.time() - start
    iteration = read_scalars(folder)['time'][_TIMED]
    return max(seconds - (_TIMED + 1) * iteration, 0.0), iteration
