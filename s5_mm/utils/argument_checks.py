"""Refuse arguments that are out of range, in one form of words for all of them."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any, TypeVar

Value = TypeVar('Value')


def check_number(
    name: str,
    value: Value,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    whole: bool = False,
    why: str = '',
) -> Value:
    """Refuse what is no number of a range.

    Args:
        name: How the user calls the argument, such as ``'train_cfg.max_iters'``.
        value: The argument; a bool is no number.
        least: Smallest value that is allowed.
        most: Largest value that is allowed.
        above: The value must be larger than this.
        below: The value must be smaller than this.
        whole: Allow integers only.
        why: Follows the message.

    Returns:
        The value.

    Raises:
        ValueError: If it is no such number.
    """
    number: Any = value  # a Real has no order that a type checker knows
    fits = isinstance(number, Integral if whole else Real)
    fits = fits and not isinstance(number, bool)
    if (
        not fits
        or (least is not None and not number >= least)
        or (most is not None and not number <= most)
        or (above is not None and not number > above)
        or (below is not None and not number < below)
    ):
        words = {'at least': least, 'above': above, 'at most': most, 'below': below}
        limits = [f'{word} {end}' for word, end in words.items() if end is not None]
        if least is not None and most is not None:
            limits = [f'{least} to {most}']
        kind = 'a whole number, ' if whole else ''
        raise ValueError(
            f'{name}={value!r}, expected {kind}{" and ".join(limits)}{why}'
        )
    return value


def check_choice(name: str, value: Value, allowed: Collection[Any]) -> Value:
    """Refuse what is none of a few values.

    Args:
        name: How the user calls the argument.
        value: The argument.
        allowed: The values that are allowed.

    Returns:
        The value.

    Raises:
        ValueError: If it is none of them.
    """
    if value not in allowed:
        *first, last = map(repr, allowed)
        listed = f'{", ".join(first)} and {last}' if first else last
        raise ValueError(f'{name}={value!r}, allowed are {listed}')
    return value
