import errno
import os

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from s5_mm.checkpoints import load_data_only
from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint
from s5_mm.engine.hooks import AtomicCheckpointHook, atomic_backend

from ..support.kill_trials import TrainingChild
from .toy import PRELOAD, Interrupted, ToyStopHook, toy_config, toy_runner


def _checkpoints(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth*'))


def test_only_the_newest_and_the_best_stay(tmp_path):
    toy_runner(tmp_path).train()
    best = [name for name in _checkpoints(tmp_path) if name.startswith('best')]
    assert len(best) == 1
    assert _checkpoints(tmp_path) == [*best, 'iter_20.pth', 'iter_24.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_24.pth')
    hub = last_checkpoint(tmp_path)['message_hub']['runtime_info']
    assert hub['best_ckpt'] == str(tmp_path / best[0])


def test_file_is_plain_data_and_the_model_is_not_copied(tmp_path, monkeypatch):
    sizes = []
    put = atomic_backend.AtomicLocalBackend.put

    def traced(self, obj, filepath):
        sizes.append(len(obj))
        put(self, obj, filepath)

    monkeypatch.setattr(atomic_backend.AtomicLocalBackend, 'put', traced)
    runner = toy_runner(tmp_path, train_cfg__max_iters=4)
    runner.model.big = torch.nn.Linear(512, 512)
    runner.train()
    content = load_data_only(tmp_path / 'iter_4.pth')
    assert content['state_dict']['big.weight'].shape == (512, 512)
    assert content['meta']['iter'] == 4
    assert max(sizes) < 10_000


@pytest.mark.parametrize('fault', ['fsync', 'replace'])
@pytest.mark.parametrize('nth', range(1, 9))
def test_a_failing_disk_never_leaves_a_run_without_checkpoint(
    tmp_path, monkeypatch, fault, nth
):
    real, calls = getattr(os, fault), []

    def fail(*args):
        calls.append(args)
        if len(calls) == nth:
            raise OSError(errno.EIO, 'Input/output error')
        return real(*args)

    monkeypatch.setattr(os, fault, fail)
    with pytest.raises(OSError, match='Input/output'):
        toy_runner(tmp_path).train()
    assert not [name for name in _checkpoints(tmp_path) if '.tmp-' in name]
    if (tmp_path / 'last_checkpoint').exists():
        assert last_checkpoint(tmp_path)['meta']['iter'] % 2 == 0
    for path in tmp_path.glob('*.pth'):  # each is whole, pointed at or not
        load_data_only(path)


def test_crash_at_every_rename_then_resume_to_the_bit(tmp_path):
    """One run dies before and after each rename, and half-way through writes."""
    toy_runner(tmp_path / 'whole').train()
    crashed = tmp_path / 'crashed'
    statuses = []
    for nth in (1, 2, 3):
        for moment in ('before', 'after', 'write'):
            config = toy_config()
            crash = dict(type='s5_mm.ToyCrashHook', moment=moment, nth=nth)
            config['custom_hooks'] += [crash]
            status = TrainingChild(config, crashed, preload=PRELOAD).finish()
            statuses.append(status)
            if (crashed / 'last_checkpoint').exists():
                last_checkpoint(crashed)
            left = [name for name in os.listdir(crashed) if '.tmp-' in name]
            assert bool(left) == (status == 99 and moment != 'after')
    assert set(statuses) <= {0, 99}
    assert statuses.count(99) >= 7
    assert TrainingChild(toy_config(), crashed, preload=PRELOAD).finish() == 0
    whole, resumed = last_checkpoint(tmp_path / 'whole'), last_checkpoint(crashed)
    assert checkpoint_differences(whole, resumed) == []
    assert _checkpoints(crashed) == _checkpoints(tmp_path / 'whole')


def test_old_best_stays_until_the_new_one_is_there(tmp_path, monkeypatch):
    seen = []
    remove = AtomicCheckpointHook._save_checkpoint_with_step

    def traced(self, runner, step, meta):
        seen.append(_checkpoints(tmp_path))
        remove(self, runner, step, meta)

    monkeypatch.setattr(AtomicCheckpointHook, '_save_checkpoint_with_step', traced)
    # Validation scores are drawn; start from a score that any beats, twice.
    toy_runner(tmp_path).train()
    both = [s for s in seen if sum(name.startswith('best') for name in s) == 2]
    assert both


def test_outdated_checkpoint_of_a_killed_run_goes_on_resume(tmp_path, monkeypatch):
    changes = dict(default_hooks__checkpoint__max_keep_ckpts=1, val_dataloader=None)
    changes |= dict(val_evaluator=None, val_cfg=None)
    changes |= dict(default_hooks__checkpoint__save_best=None)
    unlink = type(tmp_path).unlink

    def die(path, missing_ok=False):
        if path.name == 'iter_4.pth':
            raise Interrupted
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(type(tmp_path), 'unlink', die)
    with pytest.raises(Interrupted):
        toy_runner(tmp_path, **changes).train()
    monkeypatch.undo()
    assert _checkpoints(tmp_path) == ['iter_4.pth', 'iter_8.pth']
    runner = toy_runner(tmp_path, resume=True, **changes)
    runner.register_hook(ToyStopHook(9))
    with pytest.raises(Interrupted):
        runner.train()
    assert _checkpoints(tmp_path) == ['iter_8.pth']


def test_leftovers_are_removed_at_the_start(tmp_path):
    (tmp_path / 'iter_2.pth.tmp-1').write_bytes(b'half')
    toy_runner(tmp_path, train_cfg__max_iters=1).train()
    assert not (tmp_path / 'iter_2.pth.tmp-1').exists()


class _Adds(Hook):
    def __init__(self, value, where=None):
        self.value, self.where = value, where

    def before_save_checkpoint(self, runner, checkpoint):
        (checkpoint[self.where] if self.where else checkpoint)['extra'] = self.value


def test_what_cannot_be_read_back_is_refused_and_the_old_one_kept(tmp_path):
    runner = toy_runner(tmp_path)
    runner.register_hook(ToyStopHook(5))
    with pytest.raises(Interrupted):
        runner.train()
    runner = toy_runner(tmp_path, resume=True)
    runner.register_hook(_Adds(LocalBackend()))
    with pytest.raises(ValueError, match=r'not be readable as data.*LocalBackend'):
        runner.train()
    assert _checkpoints(tmp_path) == ['iter_4.pth']
    assert last_checkpoint(tmp_path)['meta']['iter'] == 4


def test_objects_in_the_meta_are_left_out_with_one_warning(tmp_path, caplog):
    runner = toy_runner(tmp_path)
    runner.logger.addHandler(caplog.handler)
    runner.register_hook(_Adds(print, 'meta'))
    runner.train()
    assert 'extra' not in last_checkpoint(tmp_path)['meta']
    named = [r for r in caplog.records if 'meta.extra is a builtin' in r.message]
    assert len(named) == 1


def test_later_hooks_still_add_to_the_checkpoint(tmp_path):
    runner = toy_runner(tmp_path, train_cfg__max_iters=2)
    runner.register_hook(_Adds(torch.ones(2)), priority='LOWEST')
    runner.train()
    assert torch.equal(last_checkpoint(tmp_path)['extra'], torch.ones(2))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(out_dir='s3://bucket'), 'remote'),
        (dict(backend_args=dict(backend='petrel')), 'backend_args is not supported'),
        (dict(file_client_args=dict(backend='disk')), 'file_client_args is not'),
    ],
)
def test_remote_directories_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AtomicCheckpointHook(interval=1, **changes)
