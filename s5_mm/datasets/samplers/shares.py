"""How the samples of a batch are shared out among several sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Shares = Sequence[int] | Mapping[str, Any] | str


def resolve_shares(
    shares: Shares,
    names: Sequence[str],
    lengths: Sequence[int],
    batch_size: int | None = None,
) -> tuple[int, ...]:
    """Turn the ``shares`` of a sampler into numbers of samples.

    Args:
        shares: A list; a dict by name; or a rule for ``batch_size`` samples: 'equal',
            'size', ``dict(temperature=T)``.
        names: Names of the sources.
        lengths: Images of each source.
        batch_size: Samples in a batch, required by a rule.

    Returns:
        Samples of each source.

    Raises:
        ValueError: An unknown rule or name, a temperature that is not positive, a rule
            without ``batch_size`` or with fewer samples than sources, or a
            ``batch_size`` that is not the sum of the numbers given.
    """
    temperature = _temperature(shares, names)
    if temperature is None:
        given: Iterable[Any] = shares
        if isinstance(shares, Mapping):
            given = [shares[name] for name in names]
        numbers = tuple(given)
        if batch_size is not None and batch_size != sum(numbers):
            raise ValueError(
                f'sampler.batch_size={batch_size}, but shares={list(numbers)} are '
                f'{sum(numbers)}: leave it out or change the shares'
            )
        return numbers
    if not isinstance(batch_size, int) or batch_size < len(names):
        raise ValueError(
            f'shares={shares!r} needs sampler.batch_size of at least {len(names)}, one '
            f'sample of each of {list(names)}, got {batch_size!r}'
        )
    # Relative to the longest: the powers of a low temperature would overflow.
    relative = np.array(lengths, dtype=np.float64) / max(lengths)
    weights = relative ** (1 / temperature)
    return largest_remainder(weights, batch_size)


def largest_remainder(
    weights: Sequence[float] | np.ndarray, total: int
) -> tuple[int, ...]:
    """Share out a whole number by weights; nobody gets less than one.

    Args:
        weights: Positive, one for each part.
        total: Number to share out, at least the number of parts.

    Returns:
        Whole numbers whose sum is ``total``; ties go to the earlier part.
    """
    parts = np.asarray(weights, dtype=np.float64)
    small = np.zeros(len(parts), dtype=bool)
    while True:
        rest = total - int(small.sum())
        exact = np.where(small, 1, rest * parts / parts[~small].sum())
        below = ~small & (exact < 1 - 1e-9)
        if not below.any():
            break
        small |= below
    numbers = np.floor(exact + 1e-9).astype(int)
    missing = total - int(numbers.sum())
    # Rounded, or ties would go to whoever the last bit favours.
    order = np.argsort(-np.round(exact - numbers, 9), kind='stable')
    numbers[order[:missing]] += 1
    return tuple(int(number) for number in numbers)


def _temperature(shares: Shares, names: Sequence[str]) -> float | None:
    """Temperature of a rule, None where shares are numbers."""
    if isinstance(shares, str):
        rules = {'equal': np.inf, 'size': 1.0}
        if shares not in rules:
            raise ValueError(
                f'shares={shares!r}; allowed are {sorted(rules)}, dict(temperature=T), '
                'a number for each source'
            )
        return rules[shares]
    if not isinstance(shares, Mapping):
        return None
    if set(shares) == {'temperature'} and 'temperature' not in names:
        if not shares['temperature'] > 0:
            raise ValueError(f'shares={dict(shares)}: the temperature must be positive')
        return shares['temperature']
    if set(shares) != set(names):
        raise ValueError(
            f'shares={dict(shares)} names {sorted(shares)}, the sources are '
            f'{list(names)}'
        )
    return None
