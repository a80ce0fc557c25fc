import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from torch import distributed

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint
from s5_mm.engine.hooks import PreemptionHook

from ..support.kill_trials import TrainingChild
from .toy import PRELOAD, toy_config, toy_runner

LONG = dict(train_cfg__max_iters=24, train_dataloader__dataset__delay=0.02)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    toy_runner(work_dir).train()
    return last_checkpoint(work_dir)


def _child(work_dir, **kwargs):
    return TrainingChild(toy_config(**LONG), work_dir, preload=PRELOAD, **kwargs)


def _wait_for(path):
    end = time.time() + 30
    while not path.exists():
        assert time.time() < end, (path.parent / 'child.log').read_text()[-2000:]
        time.sleep(0.01)


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
@pytest.mark.parametrize('workers', [0, 2])
def test_signal_saves_and_leaves_with_75(tmp_path, uninterrupted, name, workers):
    changes = {'train_dataloader.num_workers': workers}
    child = _child(tmp_path, overrides=changes)
    child.wait_ready()
    time.sleep(0.9)
    child.send(getattr(signal, name), workers=True)
    assert child.finish() == 75
    log = (tmp_path / 'child.log').read_text()
    assert f'{name} received: saved' in log
    assert '--resume' in log
    assert 0 < last_checkpoint(tmp_path)['meta']['iter'] < 24
    assert _child(tmp_path, overrides=changes).finish() == 0
    assert checkpoint_differences(uninterrupted, last_checkpoint(tmp_path)) == []


def test_signals_at_random_moments_and_twice(tmp_path, uninterrupted):
    for trial in range(6):
        child = _child(tmp_path)
        child.wait_ready()
        time.sleep(0.15 + 0.07 * trial)
        for _ in range(3):
            child.send(signal.SIGTERM)
            time.sleep(0.01)
        assert child.finish() in (75, 0)
        last_checkpoint(tmp_path)
    assert _child(tmp_path).finish() == 0
    assert checkpoint_differences(uninterrupted, last_checkpoint(tmp_path)) == []


def test_signal_during_validation_leaves_at_once(tmp_path, uninterrupted):
    seen = tmp_path / 'validated'
    config = toy_config(**LONG)
    config['custom_hooks'] += [
        dict(type='s5_mm.ToySlowValHook', seconds=0.3, path=str(seen))
    ]
    child = TrainingChild(config, tmp_path, preload=PRELOAD)
    _wait_for(seen)
    child.send(signal.SIGTERM)
    assert child.finish() == 75
    assert len(seen.read_text().split('\n')) <= 3  # not all of the three batches
    saved = last_checkpoint(tmp_path)
    assert saved['meta']['iter'] == 6
    # Resumed with the model's own weights, not those of the EMA that were swapped in,
    # and validated again.
    assert _child(tmp_path).finish() == 0
    assert checkpoint_differences(uninterrupted, last_checkpoint(tmp_path)) == []
    history = last_checkpoint(tmp_path)['message_hub']['log_scalars']['val/mIoU']
    assert len(history.data[0]) == 3


@pytest.mark.parametrize('moment', ['training', 'validation'])
def test_one_of_two_processes_has_the_signal(tmp_path, moment):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    config = toy_config(
        **LONG,
        train_dataloader__sampler=dict(type='InfiniteSampler'),
        launcher='pytorch',
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
    )
    seen = tmp_path / 'validated'
    config['custom_hooks'] += [
        dict(type='s5_mm.ToySlowValHook', seconds=0.2, path=str(seen))
    ]
    children = [
        TrainingChild(
            config,
            tmp_path,
            preload=PRELOAD,
            environment=dict(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE='2',
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT=port,
            ),
        )
        for rank in range(2)
    ]
    if moment == 'training':
        for child in children:
            child.wait_ready()
        time.sleep(0.4)
    else:
        _wait_for(seen)
    children[1].send(signal.SIGTERM)
    assert [child.finish() for child in children] == [75, 75]
    iteration = last_checkpoint(tmp_path)['meta']['iter']
    assert iteration == 6 if moment == 'validation' else 0 < iteration < 24


def test_signal_while_the_others_are_waited_for_is_not_lost(monkeypatch):
    hook = PreemptionHook()
    hook._group = object()

    def all_reduce(flag, op, group):
        hook._receive(signal.SIGTERM, None)

    monkeypatch.setattr(distributed, 'all_reduce', all_reduce)
    assert hook._agree() == 0
    monkeypatch.setattr(distributed, 'all_reduce', lambda flag, op, group: None)
    assert hook._agree() == signal.SIGTERM


def test_handlers_are_given_back(tmp_path):
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1)]
    toy_runner(tmp_path, train_cfg__max_iters=1).train()
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1)] == before


def test_error_after_a_signal_leaves_with_75(tmp_path):
    runner = toy_runner(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def fail():
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError('DataLoader worker killed by signal: Terminated')

    runner.train_loop.run_iter = lambda batch: fail()
    with pytest.raises(SystemExit) as caught:
        runner.train()
    signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 75


# Leaves with 75 while the others leave too: Slurm signals it in its shutdown, after
# Python has given its handlers back.
LATE = """
import os, signal
from unittest.mock import MagicMock
from s5_mm.engine.hooks import PreemptionHook

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)

late, hook = Late(), PreemptionHook()
hook._saver, hook._received = MagicMock(), signal.SIGTERM
for number in hook.signals:
    signal.signal(number, hook._receive)
{leave}
"""


@pytest.mark.parametrize(
    'leave',
    ['hook._leave(MagicMock(), 1)', 'hook.after_train_error(MagicMock(), OSError())'],
)
def test_signal_in_the_shutdown_changes_nothing(leave):
    command = [sys.executable, '-W', 'ignore', '-c', LATE.format(leave=leave)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 75, done.stderr


def test_error_without_a_signal_stays_an_error(tmp_path):
    runner = toy_runner(tmp_path)
    runner.train_loop.run_iter = lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        runner.train()


def test_needs_a_hook_that_can_save(tmp_path):
    runner = toy_runner(
        tmp_path,
        default_hooks__checkpoint=dict(type='CheckpointHook', by_epoch=False),
    )
    with pytest.raises(RuntimeError, match='needs default_hooks.checkpoint'):
        runner.train()


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"no signals named \['SIGNONE'\]"):
        PreemptionHook(signals=['SIGNONE'])
    with pytest.raises(ValueError, match='interval=0, expected at least 1'):
        PreemptionHook(interval=0)
