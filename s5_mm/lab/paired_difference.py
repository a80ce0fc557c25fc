"""Student's t on paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class PairedDifference(NamedTuple):
    """How two series of paired figures differ.

    Attributes:
        differences: Ours minus theirs, one per pair.
        mean: Their mean.
        std: Their sample standard deviation (n - 1), None of fewer than 2 pairs.
        low: Lower end of the interval of the mean, None of fewer than 2 pairs.
        high: Upper end of it.
    """

    differences: tuple[float, ...]
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @property
    def positive(self) -> int:
        """Number of pairs with a difference above 0."""
        return sum(difference > 0 for difference in self.differences)


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float], level: float = 0.95
) -> PairedDifference:
    """Compute the mean paired difference and its confidence interval.

    ``mean ± t(1/2 + level/2; n - 1) std / sqrt(n)``: the differences are taken as
    independent draws of one normal distribution.

    Args:
        ours: Figures of one method, n of them, at least one.
        theirs: Figures of another one, in the order of their pairs.
        level: Probability that the interval covers the true mean, in (0, 1).

    Returns:
        The difference; without an interval if n is 1.

    Raises:
        ValueError: If the series differ in length or are empty, or ``level`` is out of
            its range.
    """
    if not 0 < level < 1:
        raise ValueError(f'level={level:g}, expected a probability between 0 and 1')
    if len(ours) != len(theirs) or not ours:
        raise ValueError(
            f'{len(ours)} and {len(theirs)} figures, expected pairs, at least one'
        )
    differences = tuple(a - b for a, b in zip(ours, theirs, strict=True))
    count = len(differences)
    mean = math.fsum(differences) / count
    if count < 2:
        return PairedDifference(differences, mean, None, None, None)
    squares = math.fsum((difference - mean) ** 2 for difference in differences)
    std = math.sqrt(squares / (count - 1))
    half = t_quantile(0.5 + level / 2, count - 1) * std / math.sqrt(count)
    return PairedDifference(differences, mean, std, mean - half, mean + half)


def t_quantile(probability: float, degrees: int) -> float:
    """Compute a quantile of Student's t distribution.

    Args:
        probability: In (0, 1).
        degrees: Degrees of freedom, at least 1.

    Returns:
        The t with ``P(T <= t) = probability``.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not 0 < probability < 1:
        raise ValueError(f'probability={probability:g}, expected it in (0, 1)')
    if degrees < 1:
        raise ValueError(f'degrees={degrees}, expected at least 1')
    central = abs(2 * probability - 1)
    # Bisection over theta = atan(t / sqrt(degrees)), in which the probability rises.
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _central_probability(middle, degrees) < central:
            low = middle
        else:
            high = middle
    return math.copysign(math.sqrt(degrees) * math.tan(low), probability - 0.5)


def _central_probability(theta: float, degrees: int) -> float:
    """Compute P(|T| <= t) of theta = atan(t / sqrt(degrees)).

    Finite sums of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
    (odd degrees) and 26.7.4 (even ones).
    """
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for number in range(2 + odd, degrees, 2):
        term *= (number - 1) / number * cosine**2
        total += term
    return (theta + sine * total) * 2 / math.pi if odd else sine * total
