"""The interval of what hooks log."""

from __future__ import annotations

from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner

from s5_mm.utils.argument_checks import check_number


def check_interval(hook: Hook, interval: int | None) -> None:
    """Refuse an interval that is none.

    Args:
        hook: Whose argument it is.
        interval: Iterations, or None for that of the logger.

    Raises:
        ValueError: It is smaller than 1.
    """
    if interval is not None:
        check_number(f'{type(hook).__name__}: interval', interval, 1, why=', or None')


def logger_interval(runner: Runner) -> int:
    """Give the shortest interval of the runner's loggers, in iterations."""
    loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
    return min((hook.interval for hook in loggers), default=10)
