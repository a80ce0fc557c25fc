"""A run that was stopped and resumed equals one that never was, to the bit."""

import pytest
import torch

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from .toy import Interrupted, ToyStopHook, toy_runner

STOP = 11  # between two checkpoints, two log points and two validations


def _stopped_and_resumed(work_dir, workers=(0, 0), stop=STOP, **changes):
    runner = toy_runner(work_dir, train_dataloader__num_workers=workers[0], **changes)
    runner.register_hook(ToyStopHook(stop))
    with pytest.raises(Interrupted):
        runner.train()
    toy_runner(
        work_dir, resume=True, train_dataloader__num_workers=workers[1], **changes
    ).train()
    return last_checkpoint(work_dir)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    toy_runner(work_dir).train()
    return last_checkpoint(work_dir)


@pytest.mark.parametrize('workers', [(0, 0), (2, 2), (0, 2), (2, 0)])
def test_resume_to_the_bit(tmp_path, uninterrupted, workers):
    resumed = _stopped_and_resumed(tmp_path, workers)
    assert resumed['meta']['iter'] == 24
    assert checkpoint_differences(uninterrupted, resumed) == []
    # What is compared is there at all.
    for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert resumed[key]
    history = resumed['message_hub']['log_scalars']
    assert len(history['train/loss'].data[0]) == 24
    assert len(history['train/grad_norm'].data[0]) == 24
    assert len(history['val/mIoU'].data[0]) == 3  # the last one comes after the save


@pytest.mark.parametrize('stop', [1, 4, 6, 12, 23])
def test_resume_from_any_place(tmp_path, uninterrupted, stop):
    resumed = _stopped_and_resumed(tmp_path, stop=stop)
    assert checkpoint_differences(uninterrupted, resumed) == []


def test_resume_in_mixed_precision(tmp_path):
    amp = dict(optim_wrapper__type='s5_mm.AmpOptimWrapper')
    toy_runner(tmp_path / 'a', **amp).train()
    resumed = _stopped_and_resumed(tmp_path / 'b', **amp)
    assert checkpoint_differences(last_checkpoint(tmp_path / 'a'), resumed) == []


def test_comparison_sees_a_resume_without_seeds(tmp_path):
    """Without the seed hook dropout differs, and the test above would notice."""
    hooks = dict(custom_hooks=[dict(type='EMAHook', momentum=0.1)])
    toy_runner(tmp_path / 'a', **hooks).train()
    resumed = _stopped_and_resumed(tmp_path / 'b', **hooks)
    found = checkpoint_differences(last_checkpoint(tmp_path / 'a'), resumed)
    assert '.state_dict.conv.weight' in found
    assert '.message_hub.log_scalars.train/loss' in found


def _at_iteration(work_dir, iteration):
    """Pretend that the last checkpoint was saved at another iteration."""
    path = (work_dir / 'last_checkpoint').read_text()
    content = torch.load(path, weights_only=True)
    content['meta']['iter'] = iteration
    content['meta']['train_state']['last_val_iter'] = iteration
    torch.save(content, path)


@pytest.mark.parametrize('workers', [0, 2])
def test_resume_at_a_million_reads_nothing_before(tmp_path, workers):
    toy_runner(tmp_path, train_cfg__max_iters=4).train()
    _at_iteration(tmp_path, 1_000_000)
    runner = toy_runner(
        tmp_path,
        resume=True,
        train_cfg__max_iters=1_000_002,
        train_cfg__val_interval=10**7,
        val_dataloader=None,
        val_evaluator=None,
        val_cfg=None,
        default_hooks__checkpoint__save_best=None,
        train_dataloader__num_workers=workers,
        train_dataloader__dataset__reads=str(tmp_path / 'reads'),
    )
    runner.train()
    assert runner.iter == 1_000_002
    prefetched = workers * 2 * 4
    assert 8 <= (tmp_path / 'reads').stat().st_size <= 8 + prefetched


def _val_iterations(runner):
    seen = []
    run = type(runner.val_loop).run

    def traced():
        seen.append(runner.iter)
        return run(runner.val_loop)

    runner.val_loop.run = traced
    runner.train()
    return seen


def test_validation_that_was_due_runs_first(tmp_path):
    changes = dict(
        default_hooks__checkpoint__interval=6,
        default_hooks__checkpoint__save_best=None,
        train_cfg__max_iters=12,
    )
    runner = toy_runner(tmp_path, **changes)
    runner.register_hook(ToyStopHook(6))  # saved at 6, stopped before validation
    with pytest.raises(Interrupted):
        runner.train()
    assert _val_iterations(toy_runner(tmp_path, resume=True, **changes)) == [6, 12]


def test_recorded_validation_is_not_repeated(tmp_path):
    changes = dict(train_cfg__max_iters=12, default_hooks__checkpoint__interval=6)
    runner = toy_runner(tmp_path, **changes)
    runner.register_hook(ToyStopHook(7))  # 6 became the best and was saved again
    with pytest.raises(Interrupted):
        runner.train()
    assert _val_iterations(toy_runner(tmp_path, resume=True, **changes)) == [12]


def test_finished_run_validates_what_it_missed_and_ends(tmp_path):
    runner = toy_runner(tmp_path)
    runner.register_hook(ToyStopHook(24))
    with pytest.raises(Interrupted):
        runner.train()
    assert _val_iterations(toy_runner(tmp_path, resume=True)) == [24]


def test_validation_leaves_no_trace_in_training(tmp_path):
    toy_runner(tmp_path / 'a').train()
    rare = dict(train_cfg__val_interval=24, default_hooks__checkpoint__save_best=None)
    toy_runner(tmp_path / 'b', **rare).train()
    first, second = last_checkpoint(tmp_path / 'a'), last_checkpoint(tmp_path / 'b')
    assert checkpoint_differences(first['state_dict'], second['state_dict']) == []
    assert checkpoint_differences(first['optimizer'], second['optimizer']) == []
