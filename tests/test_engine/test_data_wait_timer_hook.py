"""The share of the time that waits for data, by a clock that the test winds."""

import pytest
import torch
from mmengine.hooks import Hook, iter_timer_hook

from s5_mm.engine.hooks import DataWaitTimerHook

from .toy import toy_runner

ITERATIONS, INTERVAL = 11, 4
# Seconds before and in each iteration.
WAITS = [0.5 + 0.25 * i for i in range(ITERATIONS)]
WORKS = [3.0 - 0.125 * i for i in range(ITERATIONS)]


class _Clock(Hook):
    """Let time pass while a batch is fetched and while it is used."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.now = 0.0

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.now += WAITS[runner.iter]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.now += WORKS[runner.iter]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(iter_timer_hook.time, 'time', lambda: clock.now)
    runner = toy_runner(
        tmp_path,
        train_cfg__max_iters=ITERATIONS,
        default_hooks__timer=dict(type='s5_mm.DataWaitTimerHook'),
        default_hooks__logger__interval=INTERVAL,
        default_hooks__checkpoint__interval=-1,
        val_dataloader=None,
        val_evaluator=None,
        val_cfg=None,
    )
    runner.register_hook(clock)
    runner.train()
    return runner.message_hub


def test_share_of_each_interval(hub):
    want = []
    for start in range(0, ITERATIONS, INTERVAL):
        part = slice(start, start + INTERVAL)
        waited, worked = sum(WAITS[part]), sum(WORKS[part])
        want.append(waited / (waited + worked))
    got = hub.get_scalar('train/data_time_share').data[0]
    assert got.tolist() == pytest.approx(want, rel=1e-9)
    assert len(hub.get_scalar('train/time').data[0]) == ITERATIONS


def test_tensors_are_not_read(monkeypatch):
    hook = DataWaitTimerHook(interval=1)

    def read(*args):
        raise AssertionError('a tensor was read')

    for name in ('item', 'tolist', 'cpu', '__float__', '__bool__'):
        monkeypatch.setattr(torch.Tensor, name, read)

    class _Runner:
        iter, max_iters = 0, 5

        class message_hub:  # noqa: N801
            scalars = {}

            @classmethod
            def update_scalar(cls, key, value):
                cls.scalars[key] = value

            @classmethod
            def get_scalar(cls, key):
                return type('', (), dict(current=lambda self: cls.scalars[key]))()

            @classmethod
            def update_info(cls, key, value):
                pass

    hook._before_epoch(_Runner)
    hook._before_iter(_Runner, 0, mode='train')
    hook._after_iter(_Runner, 0, outputs=dict(loss=torch.ones(1)), mode='train')
    assert 0 <= _Runner.message_hub.scalars['train/data_time_share'] <= 1


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match='interval=0, expected at least 1, or None'):
        DataWaitTimerHook(interval=0)
