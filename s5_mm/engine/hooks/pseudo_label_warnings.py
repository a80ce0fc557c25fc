"""What can be wrong with pseudo-labels, told from pixel counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_FEW, _ALL = 0.001, 0.999  # mask ratios under and from which the rule is no use
_HARDLY = 1 / 20  # of a class's share in the labels
_NEARLY_ALL, _NOT_ALL = 0.95, 0.8  # share of one class in pseudo-labels, in labels
_RULES = "'s5_mm.TopShare', 's5_mm.FlexMatchThreshold'"


class Reading(NamedTuple):
    """Pixel counts between two readings.

    Attributes:
        passed: Pixels of each class that the rule lets pass, by the class's name.
        valid: All pixels that are no padding.
        labels: Labelled pixels of each class since the start, by the class's name.
    """

    passed: Mapping[str, int]
    valid: int
    labels: Mapping[str, int]

    @property
    def mask_ratio(self) -> float:
        """Share of the pixels that passes."""
        return sum(self.passed.values()) / max(self.valid, 1)


class PseudoLabelWarnings:
    """Collects what goes wrong for long, and warns of each thing once.

    Args:
        patience: Readings in a row after which it is for long.
        iterations: Iterations of as many readings, for the text.
        rule: The rule as ``semi_train_cfg`` has it, such as ``conf_thresh=0.95``.
        passes_all: Whether it is meant that every pixel passes.
    """

    def __init__(
        self, patience: int, iterations: int, rule: str, passes_all: bool
    ) -> None:
        self.patience, self.iterations = patience, iterations
        self.rule, self.passes_all = rule, passes_all
        self.lasted: dict[str, int] = {}
        self.given: list[str] = []

    def state(self) -> dict[str, Any]:
        """Return what a resumed run goes on with, plain data."""
        return dict(lasted=dict(self.lasted), given=list(self.given))

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of a checkpoint.

        Args:
            state: What :meth:`state` returned.
        """
        self.lasted, self.given = dict(state['lasted']), list(state['given'])

    def read(self, reading: Reading) -> list[str]:
        """Take a reading.

        Args:
            reading: The counts since the last one.

        Returns:
            What is to be warned of now, a line each.
        """
        wrong = self._wrong(reading)
        self.lasted = {key: self.lasted.get(key, 0) + 1 for key in wrong}
        new = [
            key
            for key, lasted in self.lasted.items()
            if lasted >= self.patience and key not in self.given
        ]
        self.given += new
        missing = [wrong[key] for key in new if key.startswith('missing')]
        lines = [wrong[key] for key in new if not key.startswith('missing')]
        if missing:
            lines.append(
                f'in the labels, but hardly in the pseudo-labels that count, is '
                f'{", ".join(missing)}: the student unlearns it. Give labels more time '
                '(semi_train_cfg.burn_in=0.5), take a rule by class (conf_thresh=None, '
                f"threshold=dict(type=...): {_RULES}) or align the classes' shares "
                "(alignment=dict(type='s5_mm.DistributionAlignment'))"
            )
        when = f'pseudo-labels of the last {self.iterations} iterations: '
        return [when + line for line in lines]

    def _wrong(self, reading: Reading) -> dict[str, str]:
        """Name what is wrong with a reading; of a missing class only its figures."""
        if reading.mask_ratio < _FEW:
            return dict(
                few=f'{reading.mask_ratio:.2%} of the pixels count with {self.rule}, '
                'the unlabelled branch learns nothing. Give labels more time '
                '(semi_train_cfg.burn_in=0.5), start from trained weights (load_from), '
                'lower the threshold, or count every pixel (conf_thresh=None, '
                "threshold=dict(type='s5_mm.NoThreshold'))"
            )
        wrong = {}
        if reading.mask_ratio >= _ALL and not self.passes_all:
            wrong['all'] = (
                f'{reading.mask_ratio:.1%} of the pixels count with {self.rule}, which '
                'separates nothing: wrong pseudo-labels count as right ones do. Raise '
                'the threshold, or keep the best of each class (conf_thresh=None, '
                "threshold=dict(type='s5_mm.TopShare')); threshold=dict(type="
                "'s5_mm.NoThreshold') says that it is meant"
            )
        labelled = sum(reading.labels.values())
        if not labelled:
            return wrong
        for name, passed in reading.passed.items():
            share = passed / sum(reading.passed.values())
            known = reading.labels[name] / labelled
            if share < _HARDLY * known:
                wrong[f'missing {name}'] = f'{name} ({known:.2%}, {share:.2%})'
            if share > _NEARLY_ALL and known < _NOT_ALL:
                wrong['one'] = (
                    f'{share:.1%} of those that count are {name}, which has '
                    f'{known:.1%} of the labels: the student will see it everywhere. '
                    'Give labels more time (semi_train_cfg.burn_in=0.5), take a rule '
                    f'by class (conf_thresh=None, threshold=dict(type=...): {_RULES}) '
                    "or align the classes' shares "
                    "(alignment=dict(type='s5_mm.DistributionAlignment'))"
                )
        return wrong
