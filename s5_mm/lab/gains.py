"""What each method gains over a baseline, over runs paired by seed and split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .paired_difference import PairedDifference, paired_difference
from .run_figures import NETWORKS, RunFigures

Arms = Mapping[str, Sequence[RunFigures]]
_Runs = dict[tuple[int | None, str], RunFigures]


@dataclass(frozen=True)
class Gain:
    """Figures of one network of one arm, paired with those of a baseline.

    Attributes:
        arm: Name of the method.
        network: 'student' or 'teacher' where the runs report both, else ''.
        metric: Metric.
        against: Arm that it is compared with, '' of a baseline.
        seeds: Seed of every pair.
        ours: Last figures of the arm, one per pair.
        best: Best figures of the arm, one per pair.
        theirs: Last figures of ``against``, one per pair.
        difference: Ours minus theirs; None of a baseline, without a pair, and where a
            figure is not finite.
    """

    arm: str
    network: str
    metric: str
    against: str
    seeds: tuple[int | None, ...]
    ours: tuple[float, ...]
    best: tuple[float, ...]
    theirs: tuple[float, ...]
    difference: PairedDifference | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON, None for figures that are not finite."""
        found = self.difference
        record = {**vars(self), 'n': len(self.ours)}
        for name in ('ours', 'best', 'theirs'):
            record[name] = [v if math.isfinite(v) else None for v in record[name]]
        if found is not None:
            record['difference'] = {**found._asdict(), 'positive': found.positive}
        return record


@dataclass(frozen=True)
class Comparison:
    """Gains of all arms over their baselines.

    Attributes:
        level: Probability that an interval covers the true mean.
        metrics: The metrics, the headline first.
        gains: By metric in the order of the arms.
        left_out: One line for each run that counts in no pair.
    """

    level: float
    metrics: tuple[str, ...]
    gains: tuple[Gain, ...]
    left_out: tuple[str, ...]


def compare(
    arms: Arms,
    against: Mapping[str, str],
    metric: str = 'mIoU',
    per_class: bool = False,
    level: float = 0.95,
) -> Comparison:
    """Pair the runs of every arm with those of its baseline.

    A run without a figure of its last iteration is left out, and so is the one that it
    is paired with; both are named.

    Args:
        arms: Runs by name of the arm.
        against: Baseline by name of the arm; arms that are no key have none.
        metric: Headline figure; higher is better.
        per_class: Compare ``IoU/<class>`` as well.
        level: Of the intervals.

    Returns:
        The comparison.

    Raises:
        ValueError: If there is no such baseline, runs differ in test set, an arm and
            its baseline in length, two runs of an arm have the same seed and split,
            no run has the metric, or ``level`` is out of its range.
    """
    if unknown := sorted({*against, *against.values()} - arms.keys()):
        raise ValueError(f'no arms {unknown} to compare with, found {list(arms)}')
    runs = [run for group in arms.values() for run in group]
    check_alike(arms, against)
    metrics = _metrics(runs, metric, per_class)
    left_out: list[str] = []
    usable = {name: _usable(group, metric, left_out) for name, group in arms.items()}
    for name, other in against.items():
        left_out += [
            f'{name}, seed {seed}: no finished run of {other} with this seed and split '
            f'({split or "all images"})'
            for seed, split in usable[name]
            if (seed, split) not in usable[other]
        ]
    gains = [
        gain
        for key in metrics
        for name in arms
        for gain in _gains_of(name, usable, against.get(name, ''), key, level)
    ]
    return Comparison(level, metrics, tuple(gains), tuple(left_out))


def check_alike(arms: Arms, against: Mapping[str, str]) -> None:
    """Refuse runs that differ in what no method may change.

    Args:
        arms: Runs by name of the arm.
        against: Baseline by name of the arm.

    Raises:
        ValueError: If runs differ in test set, or an arm and its baseline in length.
    """
    _check_same([run for group in arms.values() for run in group], 'test_set')
    for name, group in arms.items():
        _check_same([*arms.get(against.get(name, ''), ()), *group], 'max_iters')


def _check_same(runs: Sequence[RunFigures], name: str) -> None:
    """Refuse runs that differ in an attribute."""
    for run in runs[1:]:
        ours, theirs = getattr(run, name), getattr(runs[0], name)
        if ours != theirs:
            raise ValueError(
                f'{run.path} has {name}={ours}, {runs[0].path} has {theirs}; '
                'expected runs of one test set and length'
            )


def _metrics(
    runs: Sequence[RunFigures], metric: str, per_class: bool
) -> tuple[str, ...]:
    """Metrics that are compared."""
    known = {key for run in runs for key in run.values}
    if metric not in known:
        allowed = f'they have {sorted(known)}' if known else 'none was validated yet'
        raise ValueError(f'no run has the metric {metric!r}; {allowed}')
    if not per_class:
        return (metric,)
    classes = sorted(key for key in known if key.startswith('IoU/'))
    if not classes:
        raise ValueError(
            'no run has figures per class; expected runs with '
            "val_evaluator=dict(type='s5_mm.SegmentationMetric', per_class=True)"
        )
    return (metric, *classes)


def _usable(group: Sequence[RunFigures], metric: str, left_out: list[str]) -> _Runs:
    """Runs with a figure of their last iteration, by seed and split."""
    found: _Runs = {}
    for run in group:
        problem = run.problem(metric)
        if problem:
            left_out.append(f'{run.arm}, seed {run.seed}: {problem} ({run.path})')
        elif run.pair in found:
            raise ValueError(
                f'{run.path} and {found[run.pair].path} of the arm {run.arm!r} have '
                f'the same seed {run.seed} and split; expected one run of each'
            )
        else:
            found[run.pair] = run
    return found


def _gains_of(
    arm: str, usable: Mapping[str, _Runs], against: str, metric: str, level: float
) -> list[Gain]:
    """Gains of the networks that all runs of an arm report."""
    theirs = usable[against] if against else usable[arm]
    runs = [run for pair, run in usable[arm].items() if pair in theirs]
    gains = []
    for network, key in _networks(runs, metric):
        ours = tuple(run.last(key) for run in runs)
        others = tuple(
            theirs[run.pair].last(metric)
            if metric in theirs[run.pair].values
            else math.nan
            for run in runs
        )
        known = against and ours and all(map(math.isfinite, [*ours, *others]))
        gains.append(
            Gain(
                arm=arm,
                network=network,
                metric=metric,
                against=against,
                seeds=tuple(run.seed for run in runs),
                ours=ours,
                best=tuple(run.best(key)[0] for run in runs),
                theirs=others if against else (),
                difference=paired_difference(ours, others, level) if known else None,
            )
        )
    return gains


def _networks(runs: Sequence[RunFigures], metric: str) -> list[tuple[str, str]]:
    """Networks that all runs report, and their keys.

    The network that ``semi_test_cfg.predict_on`` names has the key without a prefix.
    """
    for name, other in zip(NETWORKS, reversed(NETWORKS), strict=True):
        if runs and all(f'{other}/{metric}' in run.values for run in runs):
            return [(name, metric), (other, f'{other}/{metric}')]
    return [('', metric)]
