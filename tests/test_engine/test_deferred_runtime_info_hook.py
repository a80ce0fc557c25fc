from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub

from s5_mm.checkpoints.comparison import checkpoint_differences
from s5_mm.engine.hooks import DeferredRuntimeInfoHook

from .toy import toy_runner

READERS = ('item', 'tolist', 'numpy', 'cpu', '__bool__', '__float__', '__int__')


class _CountReads(Hook):
    """Count, per iteration, the calls that read a tensor back from its device."""

    priority = 0

    def __init__(self, monkeypatch):
        self.counts, self.now = Counter(), None
        for name in READERS:
            monkeypatch.setattr(torch.Tensor, name, self._traced(name))

    def _traced(self, name):
        original = getattr(torch.Tensor, name)

        def read(tensor, *args, **kwargs):
            if self.now is not None:
                self.counts[self.now] += 1
            return original(tensor, *args, **kwargs)

        return read

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.now = runner.iter


class _StopCounting(Hook):
    priority = 'LOWEST'

    def __init__(self, counter):
        self.counter = counter

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.counter.now = None


def _reads(work_dir, monkeypatch, **changes):
    runner = toy_runner(
        work_dir,
        train_cfg__max_iters=10,
        default_hooks__checkpoint__interval=-1,
        val_dataloader=None,
        val_evaluator=None,
        val_cfg=None,
        custom_hooks=[dict(type='s5_mm.IterationSeedHook')],
        **changes,
    )
    counter = _CountReads(monkeypatch)
    runner.register_hook(counter)
    runner.register_hook(_StopCounting(counter))
    runner.train()
    return [counter.counts[i] for i in range(10)]


def test_nothing_is_read_back_between_log_points(tmp_path, monkeypatch):
    reads = _reads(tmp_path, monkeypatch)
    assert [reads[i] for i in (0, 1, 2, 3, 5, 6, 7, 8)] == [0] * 8
    assert reads[4] == 1  # one transfer for all scalars of five iterations


def test_nothing_is_read_back_in_mixed_precision(tmp_path, monkeypatch):
    amp = dict(optim_wrapper__type='s5_mm.AmpOptimWrapper')
    assert _reads(tmp_path, monkeypatch, **amp)[:4] == [0] * 4


def test_the_hosts_hook_reads_every_scalar_back(tmp_path, monkeypatch):
    host = dict(
        default_hooks__runtime_info=dict(type='RuntimeInfoHook'),
        optim_wrapper__type='OptimWrapper',
    )
    # loss, loss_toy, accuracy and the norm of the gradient
    assert min(_reads(tmp_path, monkeypatch, **host)) >= 4


def test_histories_are_the_hosts(tmp_path):
    ours = toy_runner(tmp_path / 'a')
    ours.train()
    theirs = toy_runner(
        tmp_path / 'b',
        default_hooks__runtime_info=dict(type='RuntimeInfoHook'),
        optim_wrapper__type='OptimWrapper',
    )
    theirs.train()
    first, second = ours.message_hub.log_scalars, theirs.message_hub.log_scalars
    assert set(first) == set(second)
    assert {'train/loss', 'train/grad_norm', 'train/lr', 'val/mIoU'} <= set(first)
    assert checkpoint_differences(dict(first), dict(second)) == []


class _Loader:
    class optim_wrapper:
        pass

    class message_hub:
        pass


@pytest.mark.parametrize(
    'value',
    [
        torch.tensor(0.1),
        torch.tensor([0.1], dtype=torch.bfloat16),
        torch.tensor(0.1, dtype=torch.float16),
        torch.tensor(7),
        torch.tensor(True),
        torch.tensor(1 / 3, dtype=torch.float64),
        np.float32(0.1),
        np.array([3]),
        0.5,
        3,
    ],
)
def test_each_type_of_scalar_is_recorded_as_the_host_does(value):
    host = MessageHub('host')
    host.update_scalar('train/x', value)
    ours = MessageHub('ours')
    hook = DeferredRuntimeInfoHook(interval=2)
    runner = type('Runner', (_Loader,), dict(iter=0, max_iters=9, message_hub=ours))
    hook.after_train_iter(runner, 0, outputs=dict(x=value))
    assert 'train/x' not in ours.log_scalars
    hook.flush(ours)
    assert checkpoint_differences(dict(host.log_scalars), dict(ours.log_scalars)) == []


def test_history_stays_within_its_length():
    ours, host = MessageHub('short'), MessageHub('short host')
    for hub in (ours, host):
        hub.update_scalar('train/x', 0.5)
        hub.get_scalar('train/x').max_length = 4
    hook = DeferredRuntimeInfoHook(interval=6)
    runner = type('Runner', (_Loader,), dict(iter=0, max_iters=9, message_hub=ours))
    for index in range(6):
        hook.after_train_iter(runner, index, outputs=dict(x=torch.tensor(index)))
        host.update_scalar('train/x', torch.tensor(index))
    assert checkpoint_differences(dict(host.log_scalars), dict(ours.log_scalars)) == []
    assert ours.get_scalar('train/x').data[0].tolist() == [2, 3, 4, 5]


def test_scalar_changed_in_place_keeps_its_value():
    hub, hook = MessageHub('in place'), DeferredRuntimeInfoHook(interval=3)
    runner = type('Runner', (_Loader,), dict(iter=0, max_iters=9, message_hub=hub))
    scalar = torch.tensor(1.0)
    for index in range(3):
        hook.after_train_iter(runner, index, outputs=dict(x=scalar))
        scalar += 1
    assert hub.get_scalar('train/x').data[0].tolist() == [1.0, 2.0, 3.0]


def test_logged_tensor_must_be_a_scalar():
    hook = DeferredRuntimeInfoHook(interval=3)
    runner = type('Runner', (_Loader,), dict(iter=0, max_iters=9))
    with pytest.raises(ValueError, match=r'train/x is logged as .* shape \(2,\)'):
        hook.after_train_iter(runner, 0, outputs=dict(x=torch.ones(2)))


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match='interval=0, expected at least 1, or None'):
        DeferredRuntimeInfoHook(interval=0)
