"""Schedules of a training whose length has changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

_LENGTHS = ('T_max', 'total_iters', 'total_steps')  # counted from ``begin``
_MAX = ('max_iters', 'max_epochs')


@dataclass(frozen=True)
class Span:
    """The stretch of a training that a schedule covers.

    Attributes:
        iters: Its iterations.
        epochs: Its epochs of the data.
    """

    iters: float
    epochs: float

    def of(self, scheduler: Mapping[str, Any]) -> float:
        """Return the length in what a scheduler's config counts."""
        return self.epochs if scheduler.get('by_epoch', True) else self.iters


def span_of(train_cfg: Any, epoch_length: int, start: int = 0) -> Span | None:
    """Compute what a schedule covers that begins at some iteration.

    Args:
        train_cfg: Config of a training loop, as data.
        epoch_length: Iterations per epoch.
        start: Iteration at which the schedule begins.

    Returns:
        The span; None where the config gives no length.
    """
    given = train_cfg if isinstance(train_cfg, Mapping) else {}
    iters, epochs = (given.get(key) for key in _MAX)
    if isinstance(epochs, int):
        iters = epochs * epoch_length
    if not isinstance(iters, int):
        return None
    return Span(iters - start, (iters - start) / epoch_length)


def stretch(
    schedulers: Sequence[dict[str, Any]],
    saved: Any,
    before: Span,
    after: Span,
) -> dict[str, Any]:
    """Find the settings that follow the length of a training.

    Those are ends at the old length and milestones, where they are as in the
    checkpoint; whoever changes one means the new value.

    Args:
        schedulers: Configs of the run's schedulers.
        saved: Those of the checkpoint, as data.
        before: What the checkpoint's schedule covers.
        after: What the new one covers.

    Returns:
        New values by ``'<index>.<key>'``.
    """
    changes: dict[str, Any] = {}
    if not isinstance(saved, list) or len(saved) != len(schedulers):
        return changes
    for index, (config, old_config) in enumerate(zip(schedulers, saved, strict=True)):
        old, new, begin = before.of(config), after.of(config), config.get('begin', 0)
        same = [
            key
            for key, value in config.items()
            if isinstance(old_config, Mapping) and old_config.get(key) == plain(value)
        ]
        for key in same:
            value = config[key]
            if key == 'end' and value == old:
                changes[f'{index}.{key}'] = _whole(new)
            elif key in _LENGTHS and value in (old, old - begin):
                offset = begin if value == old - begin else 0
                changes[f'{index}.{key}'] = _whole(new - offset)
            elif key == 'milestones':
                changes[f'{index}.{key}'] = [round(m * new / old) for m in value]
    return changes


def apply_changes(
    schedulers: Sequence[Mapping[str, Any]], changes: Any
) -> list[dict[str, Any]]:
    """Change configs of schedulers.

    Args:
        schedulers: The configs; not changed.
        changes: As from :func:`stretch`, perhaps out of a file: what is no number, or
            names something else than a length, is left out.

    Returns:
        The new configs.
    """
    changed: list[Any] = deepcopy(list(schedulers))
    for name, value in dict(changes or {}).items():
        index, _, key = str(name).partition('.')
        numbers = value if isinstance(value, list) else [value]
        if (
            key in ('end', 'milestones', *_LENGTHS)
            and index.isdecimal()
            and int(index) < len(changed)
            and all(type(number) is int for number in numbers)
        ):
            changed[int(index)][key] = value
    return changed


def latest_end(scheduler: Mapping[str, Any]) -> tuple[str, float]:
    """Find where a scheduler ends.

    Args:
        scheduler: Its config.

    Returns:
        The setting that ends last, and its step, counted from the first of the
        schedule; ``('', 0)`` without one.
    """
    begin = scheduler.get('begin', 0)
    ends = [('', 0), ('end', scheduler.get('end'))]
    for key in _LENGTHS:
        length = scheduler.get(key)
        ends.append((key, None if length is None else begin + length))
    known = [(key, end) for key, end in ends if end is not None and end < math.inf]
    return max(known, key=lambda item: item[1])


def plain(value: Any) -> Any:
    """Return a setting as :func:`read_config` would read it: tuples are lists."""
    return list(value) if isinstance(value, (list, tuple)) else value


def _whole(value: float) -> int | float:
    """Return an integer where there is one; epochs may be parts."""
    return int(value) if float(value).is_integer() else value
