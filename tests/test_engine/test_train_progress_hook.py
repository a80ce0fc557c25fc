"""A slow training says that it goes on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import LoggerHook

from s5_mm.engine.hooks import TrainProgressHook, train_progress_hook
from s5_mm.registry import HOOKS


def _lines(monkeypatch, seconds: float) -> list[str]:
    """Log 20 iterations of so many seconds, with a validation after the seventh."""
    now, lines = [1000.0], []
    monkeypatch.setattr(train_progress_hook.time, 'monotonic', lambda: now[0])
    runner = SimpleNamespace(
        max_iters=400,
        hooks=[LoggerHook(interval=10)],
        logger=SimpleNamespace(info=lines.append),
    )
    hook = HOOKS.build(dict(type='s5_mm.TrainProgressHook'))
    for number in range(20):
        runner.iter = number + 200  # of all epochs
        hook.before_train_iter(runner, number)
        now[0] += seconds
        hook.after_train_iter(runner, number)
        if number == 6:
            now[0] += 100
            hook.after_val_epoch(runner)
    return lines


def test_lines_where_those_of_the_logger_are_far_apart(monkeypatch):
    # The logger's own are 10 and 20; the clock starts anew there and at the validation.
    lines = [f'Iter(train) [{number:3}/400]' for number in (204, 214, 218)]
    assert _lines(monkeypatch, 4) == lines


def test_a_fast_training_logs_nothing_more(monkeypatch):
    assert _lines(monkeypatch, 1.4) == []


def test_wrong_interval():
    with pytest.raises(ValueError, match='every=-1, expected at least 0'):
        TrainProgressHook(every=-1)


def test_it_is_in_every_run():
    path = Path(__file__).parents[2] / 'configs/_base_/default_runtime.py'
    hooks = Config.fromfile(path).default_hooks
    assert hooks.train_progress == dict(type='s5_mm.TrainProgressHook')
