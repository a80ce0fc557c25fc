"""What each method gains over a baseline, over runs paired by seed and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .paired_difference import PairedDifference, paired_difference
from .run_figures import NETWORKS, RunFigures

Arms = Mapping[str, Sequence[RunFigures]]


@dataclass(frozen=True)
class Gain:
    """Figures of one network of one arm, paired with those of the baseline.

    Attributes:
        arm: Name of the method.
        network: 'student' or 'teacher' where the runs report both, else ''.
        metric: Metric.
        seeds: Seed of every pair.
        ours: Last figures of the arm, one per pair.
        best: Best figures of the arm, one per pair.
        theirs: Last figures of the baseline, one per pair.
        difference: Ours minus theirs; None for the baseline itself.
    """

    arm: str
    network: str
    metric: str
    seeds: tuple[int | None, ...]
    ours: tuple[float, ...]
    best: tuple[float, ...]
    theirs: tuple[float, ...]
    difference: PairedDifference | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        found = self.difference
        paired = None if found is None else {**found._asdict(), 'n': len(self.ours)}
        return {**vars(self), 'difference': paired}


@dataclass(frozen=True)
class Comparison:
    """Gains of all arms over a baseline.

    Attributes:
        baseline: Name of the baseline.
        level: Probability that an interval covers the true mean.
        metrics: The metrics, the headline first.
        gains: By metric in the order of the arms, the baseline first.
        left_out: One line for each run that counts in no pair.
    """

    baseline: str
    level: float
    metrics: tuple[str, ...]
    gains: tuple[Gain, ...]
    left_out: tuple[str, ...]


def compare(
    arms: Arms,
    baseline: str,
    metric: str = 'mIoU',
    per_class: bool = False,
    level: float = 0.95,
) -> Comparison:
    """Pair the runs of every arm with those of a baseline.

    A run without a figure of its last iteration is left out, and so is the one that it
    is paired with; both are named.

    Args:
        arms: Runs by name of the arm.
        baseline: One of the names.
        metric: Headline figure; higher is better.
        per_class: Compare ``IoU/<class>`` as well.
        level: Of the intervals.

    Returns:
        The comparison.

    Raises:
        ValueError: If there is no such baseline, runs differ in test set or length, two
            runs of an arm have the same seed and split, or no run has the metric.
    """
    if baseline not in arms:
        raise ValueError(f'no arm {baseline!r} to compare with, found {list(arms)}')
    runs = [run for group in arms.values() for run in group]
    _check_alike(runs)
    metrics = _metrics(runs, metric, per_class)
    left_out: list[str] = []
    usable = {name: _usable(group, metric, left_out) for name, group in arms.items()}
    theirs = usable.pop(baseline)
    gains = []
    for key in metrics:
        gains += _gains_of(baseline, list(theirs.values()), theirs, key, None)
        for name, ours in usable.items():
            pairs = [run for pair, run in ours.items() if pair in theirs]
            gains += _gains_of(name, pairs, theirs, key, level)
    for name, ours in usable.items():
        left_out += [
            f'{name}, seed {seed}: no finished run of {baseline} with this seed and '
            f'split ({split or "all images"})'
            for seed, split in ours
            if (seed, split) not in theirs
        ]
    return Comparison(baseline, level, metrics, tuple(gains), tuple(left_out))


def _check_alike(runs: Sequence[RunFigures]) -> None:
    """Refuse runs that differ in what no method may change."""
    for name in ('test_set', 'max_iters'):
        first, *others = runs
        for run in others:
            ours, theirs = getattr(run, name), getattr(first, name)
            if ours != theirs:
                raise ValueError(
                    f'{run.path} has the {name} {ours}, {first.path} has {theirs}; '
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
    # In the order of the classes, which the log keeps.
    classes = [key for run in runs for key in run.values if key.startswith('IoU/')]
    if not classes:
        raise ValueError(
            'no run has figures per class; expected runs with '
            "val_evaluator=dict(type='s5_mm.SegmentationMetric', per_class=True)"
        )
    return (metric, *dict.fromkeys(classes))


def _usable(
    group: Sequence[RunFigures], metric: str, left_out: list[str]
) -> dict[tuple, RunFigures]:
    """Runs with a figure of their last iteration, by seed and split."""
    found: dict[tuple, RunFigures] = {}
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
    arm: str,
    runs: Sequence[RunFigures],
    theirs: Mapping[tuple, RunFigures],
    metric: str,
    level: float | None,
) -> list[Gain]:
    """Gains of the networks that all runs report; without a level no difference."""
    gains = []
    for network, key in _networks(runs, metric):
        ours = tuple(run.last(key) for run in runs)
        others = tuple(theirs[run.pair].last(metric) for run in runs)
        gains.append(
            Gain(
                arm=arm,
                network=network,
                metric=metric,
                seeds=tuple(run.seed for run in runs),
                ours=ours,
                best=tuple(run.best(key)[0] for run in runs),
                theirs=others,
                difference=(
                    paired_difference(ours, others, level) if level and ours else None
                ),
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
