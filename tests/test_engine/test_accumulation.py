"""Checkpoints of a training that accumulates gradients over several iterations."""

import os
import signal

import pytest
from mmengine.hooks import Hook

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from .toy import Interrupted, ToyStopHook, toy_runner

# Saves are due at 4, 8, 12, 16; updates come after 3, 6, 9, 12, 15 and, last, 16.
CHANGES = dict(
    optim_wrapper__accumulative_counts=3,
    train_cfg__max_iters=16,
    default_hooks__checkpoint__max_keep_ckpts=-1,
    default_hooks__checkpoint__save_best=None,
)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    toy_runner(work_dir, **CHANGES).train()
    return work_dir


def _steps(work_dir):
    return sorted(int(path.stem[5:]) for path in work_dir.glob('iter_*.pth'))


def test_saves_come_at_the_end_of_an_accumulation(whole):
    assert _steps(whole) == [6, 9, 12, 16]


def test_the_log_says_so(tmp_path, caplog):
    runner = toy_runner(tmp_path, **CHANGES)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    said = 'at the end of an accumulation, the first after 6 iterations instead of 4'
    assert said in caplog.text


@pytest.mark.parametrize('stop', [5, 7, 8, 10, 14])
def test_killed_in_the_middle_resumes_to_the_bit(tmp_path, whole, stop):
    runner = toy_runner(tmp_path, **CHANGES)
    runner.register_hook(ToyStopHook(stop))
    with pytest.raises(Interrupted):
        runner.train()
    toy_runner(tmp_path, resume=True, **CHANGES).train()
    assert (
        checkpoint_differences(last_checkpoint(whole), last_checkpoint(tmp_path)) == []
    )


class _Signal(Hook):
    """Send SIGTERM at the end of an iteration, or within a validation."""

    def __init__(self, iteration, validating=False):
        self.iteration, self.validating = iteration, validating

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.validating and runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.validating and runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def signals():
    """Give the handlers back that a preempted run ignores to its end."""
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(('iteration', 'saved'), [(7, 9), (9, 9), (15, 15)])
def test_preempted_in_the_middle_goes_on_to_the_end(
    tmp_path, whole, signals, iteration, saved
):
    runner = toy_runner(tmp_path, **CHANGES)
    runner.register_hook(_Signal(iteration))
    with pytest.raises(SystemExit) as caught:
        runner.train()
    assert caught.value.code == 75
    assert last_checkpoint(tmp_path)['meta']['iter'] == saved
    toy_runner(tmp_path, resume=True, **CHANGES).train()
    assert (
        checkpoint_differences(last_checkpoint(whole), last_checkpoint(tmp_path)) == []
    )


@pytest.mark.parametrize(
    ('interval', 'saved'),
    [(7, 6), (6, 12)],  # validated at 7, in the middle; at 12, saved just before
)
def test_preempted_while_validating(tmp_path, signals, caplog, interval, saved):
    changes = dict(CHANGES, train_cfg__val_interval=interval)
    at = 7 if interval == 7 else 12
    runner = toy_runner(tmp_path / 'stopped', **changes)
    runner.register_hook(_Signal(at, validating=True))
    runner.logger.addHandler(caplog.handler)
    with pytest.raises(SystemExit) as caught:
        runner.train()
    assert caught.value.code == 75
    assert last_checkpoint(tmp_path / 'stopped')['meta']['iter'] == saved
    middle = 'within an accumulation of gradients, which no checkpoint holds'
    assert (middle in caplog.text) == (at == 7)
    toy_runner(tmp_path / 'stopped', resume=True, **changes).train()
    toy_runner(tmp_path / 'whole', **changes).train()
    first, second = (last_checkpoint(tmp_path / name) for name in ('whole', 'stopped'))
    assert checkpoint_differences(first, second) == []
