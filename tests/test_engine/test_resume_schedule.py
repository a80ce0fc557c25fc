"""Where the learning rate comes from when a run resumes, and what is said of it."""

import copy
import math

import pytest
import torch

from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint

from .toy import Interrupted, ToyStopHook, toy_runner


def _cosine(iters, warmup=5):
    return [
        dict(type='LinearLR', start_factor=0.1, end=warmup, by_epoch=False),
        dict(
            type='CosineAnnealingLR',
            T_max=iters - warmup,
            begin=warmup,
            end=iters,
            by_epoch=False,
        ),
    ]


def _run(work_dir, iters, schedulers, mode=None, stop=None, said=None, **changes):
    """Train, or resume with a mode; return the rate of every iteration."""
    if mode is not None:
        changes['train_cfg__resume_schedule'] = mode
    runner = toy_runner(
        work_dir,
        resume=mode is not None,
        train_cfg__max_iters=iters,
        param_scheduler=copy.deepcopy(schedulers),
        default_hooks__checkpoint__save_best=None,
        **changes,
    )
    if said is not None:
        runner.logger.addHandler(said.handler)
    if stop is not None:
        runner.register_hook(ToyStopHook(stop))
        with pytest.raises(Interrupted):
            runner.train()
    else:
        runner.train()
    return runner.message_hub.get_scalar('train/lr').data[0].tolist()


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run of 12 iterations, its schedule at the end."""
    work_dir = tmp_path_factory.mktemp('finished')
    _run(work_dir, 12, _cosine(12))
    return work_dir


def _continue(finished, tmp_path, *args, **kwargs):
    source = str(finished / 'iter_12.pth')
    return _run(tmp_path, *args, load_from=source, **kwargs)


def test_keep_is_the_default_and_goes_on_at_the_end_value(finished, tmp_path, caplog):
    end = _continue(finished, tmp_path, 24, _cosine(12), 'keep', said=caplog)
    assert end[12:] == [end[11]] * 12
    text = caplog.text
    assert "train_cfg.resume_schedule='keep': weights, optimizer state" in text
    assert 'train_cfg.max_iters: 12 -> 24' in text
    assert "'extend' recomputes the curve" in text


def test_extend_follows_the_curve_of_the_whole_length(finished, tmp_path, caplog):
    whole = _run(tmp_path / 'whole', 24, _cosine(24))
    # The ends in the config are still those of the old length, or the new ones.
    for name, schedulers in (('old', _cosine(12)), ('new', _cosine(24))):
        rates = _continue(
            finished, tmp_path / name, 24, schedulers, 'extend', said=caplog
        )
        assert rates[12:] == whole[12:]
        moments = last_checkpoint(tmp_path / name)['optimizer']['state'][0]['step']
        assert moments == 24
    assert 'its schedule was recomputed' in caplog.text
    assert 'param_scheduler.1.T_max: 7 -> 19' in caplog.text


def test_extend_takes_the_new_rate_too(finished, tmp_path):
    optimizer = dict(type='AdamW', lr=0.02, weight_decay=0.3, fused=True)
    changes = dict(optim_wrapper__optimizer=optimizer)
    whole = _run(tmp_path / 'whole', 24, _cosine(24), **changes)
    rates = _continue(finished, tmp_path / 'a', 24, _cosine(12), 'extend', **changes)
    assert rates[12:] == whole[12:]
    (group,) = last_checkpoint(tmp_path / 'a')['optimizer']['param_groups']
    assert group['weight_decay'] == 0.3


def test_extended_again(finished, tmp_path):
    whole = _run(tmp_path / 'whole', 30, _cosine(30))
    _continue(finished, tmp_path / 'a', 20, _cosine(12), 'extend')
    rates = _run(tmp_path / 'a', 30, _cosine(12), 'extend')
    assert rates[20:] == whole[20:]


def test_kept_changes_are_named_and_extended_whenever_it_resumes(
    finished, tmp_path, caplog
):
    whole = _run(tmp_path / 'whole', 24, _cosine(24))
    _continue(finished, tmp_path / 'a', 24, _cosine(12), 'keep', stop=17)
    kept = _run(tmp_path / 'a', 24, _cosine(12), 'keep', stop=21, said=caplog)
    assert set(kept[12:]) == {kept[11]}
    assert 'train_cfg.max_iters: 12 -> 24' in caplog.text
    assert 'train_cfg.max_iters: the learning rate does not follow' in caplog.text
    rates = _run(tmp_path / 'a', 24, _cosine(12), 'extend')
    assert rates[20:] == whole[20:]
    assert 'made_for' not in last_checkpoint(tmp_path / 'a')['meta']['schedule']


def test_settings_that_are_put_back_are_no_change(finished, tmp_path, caplog):
    optimizer = dict(type='AdamW', lr=0.02, fused=True)
    changes = dict(optim_wrapper__optimizer=optimizer)
    _continue(finished, tmp_path, 20, _cosine(12), 'keep', **changes)
    meta = last_checkpoint(tmp_path)['meta']
    assert meta['schedule']['made_for']['optim_wrapper.optimizer']['lr'] == 0.01
    _run(tmp_path, 22, _cosine(12), 'keep', said=caplog)
    assert 'train_cfg.max_iters: 12 -> 22' in caplog.text
    assert 'optimizer.lr' not in caplog.text


def test_a_checkpoint_behind_the_end_is_refused(finished, tmp_path):
    with pytest.raises(ValueError, match='is at iteration 12, but .* ends at 8; give'):
        _continue(finished, tmp_path, 8, _cosine(12), 'keep')


def test_milestones_move_with_the_length(tmp_path):
    def schedule(*milestones):
        step = dict(type='MultiStepLR', milestones=list(milestones), gamma=0.1)
        return [dict(step, by_epoch=False)]

    whole = _run(tmp_path / 'whole', 24, schedule(16, 20))
    _run(tmp_path / 'a', 12, schedule(8, 10))
    assert _run(tmp_path / 'a', 24, schedule(8, 10), 'extend')[12:] == whole[12:]
    # New ones are what is meant.
    _run(tmp_path / 'b', 12, schedule(8, 10))
    rates = _run(tmp_path / 'b', 24, schedule(14, 20), 'extend')
    assert rates[12:] == _run(tmp_path / 'c', 24, schedule(14, 20))[12:]


def test_a_schedule_in_epochs_is_extended(tmp_path):
    def run(name, epochs, mode=None):
        loop = dict(type='s5_mm.ResumableIterLoop', max_epochs=epochs)
        step = dict(type='MultiStepLR', milestones=[1], gamma=0.1, end=epochs)
        if mode:
            loop['resume_schedule'] = mode
            step['end'] = 2
        runner = toy_runner(
            tmp_path / name,
            resume=mode is not None,
            train_cfg=loop,
            param_scheduler=[dict(step, by_epoch=True, convert_to_iter_based=True)],
            train_dataloader__dataset__length=16,
            default_hooks__checkpoint__save_best=None,
        )
        runner.train()
        return runner.message_hub.get_scalar('train/lr').data[0].tolist()

    short = run('a', 2)
    assert short[:4] == [0.01] * 4
    assert short[4:] == [pytest.approx(0.001)] * 4
    # Four epochs: the milestone moves from the first to the second, which is over.
    rates = run('a', 4, 'extend')
    assert rates[8:] == [pytest.approx(0.001)] * 8


def test_restart_begins_the_schedule_here(finished, tmp_path, caplog):
    optimizer = dict(type='AdamW', lr=0.004, fused=True)
    changes = dict(optim_wrapper__optimizer=optimizer)
    fresh = _run(tmp_path / 'fresh', 12, _cosine(12), **changes)
    rates = _continue(
        finished, tmp_path / 'a', 24, _cosine(12), 'restart', said=caplog, **changes
    )
    assert rates[12:] == fresh
    final = last_checkpoint(tmp_path / 'a')['optimizer']['state'][0]
    assert final['step'] == 24  # the moments were kept
    assert 'its schedule begins here' in caplog.text
    assert 'optim_wrapper.optimizer.lr: 0.01 -> 0.004' in caplog.text


def test_restart_without_an_end_ends_with_the_training(finished, tmp_path):
    poly = [dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False)]
    rates = _continue(finished, tmp_path, 24, poly, 'restart')[12:]
    assert rates == [pytest.approx(0.01 * (1 - i / 11), abs=1e-9) for i in range(12)]


@pytest.mark.parametrize('mode', ['extend', 'restart'])
def test_a_job_that_is_queued_again_goes_on_to_the_bit(finished, tmp_path, mode):
    """The same command, setting included, resumes what it has extended."""
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    _continue(finished, whole, 24, _cosine(12), mode)
    _continue(finished, killed, 24, _cosine(12), mode, stop=18)
    _run(killed, 24, _cosine(12), mode)
    assert checkpoint_differences(last_checkpoint(whole), last_checkpoint(killed)) == []


def test_the_setting_means_nothing_to_a_run_that_starts(tmp_path):
    changes = dict(train_cfg__resume_schedule='restart')
    assert _run(tmp_path / 'a', 12, _cosine(12), **changes) == _run(
        tmp_path / 'b', 12, _cosine(12)
    )


def test_nothing_is_listed_where_nothing_changed(tmp_path, caplog):
    _run(tmp_path, 12, _cosine(12), stop=9)
    _run(tmp_path, 12, _cosine(12), 'keep', said=caplog)
    assert 'Resumed at iteration 8 of 12' in caplog.text
    assert 'differ from the run' not in caplog.text


def test_every_change_is_listed(finished, tmp_path, caplog):
    _continue(
        finished,
        tmp_path,
        13,
        _cosine(12),
        'keep',
        said=caplog,
        default_hooks__logger__interval=7,
        optim_wrapper__clip_grad=dict(max_norm=2.0),
    )
    lines = [
        line
        for record in caplog.records
        if 'Settings that differ' in record.getMessage()
        for line in record.getMessage().split('\n')[1:]
    ]
    assert sorted(lines) == [
        '  default_hooks.logger.interval: 5 -> 7',
        '  optim_wrapper.clip_grad.max_norm: 1.0 -> 2.0',
        '  train_cfg.max_iters: 12 -> 13',
    ]


POLY = [dict(type='PolyLR', by_epoch=False)]


@pytest.mark.parametrize(
    ('iters', 'schedulers', 'mode', 'changes', 'message'),
    [
        (24, _cosine(12), 'longer', {}, r"='longer', allowed are 'keep'"),
        (12, _cosine(12), 'extend', {}, 'is at iteration 12 and the training ends at'),
        (
            20,
            _cosine(12),
            'restart',
            {},
            r'param_scheduler.1.end puts the end 12 steps after iteration 12, but 8',
        ),
        (
            24,
            _cosine(12)[:1],
            'keep',
            {},
            r'param_scheduler.1.type was changed .*the state in the checkpoint is of',
        ),
        (24, POLY, 'keep', {}, r"type was changed \('LinearLR' -> 'PolyLR'\)"),
        (
            24,
            _cosine(12),
            'extend',
            dict(optim_wrapper__optimizer=dict(type='SGD', lr=0.1)),
            r"optimizer.type was changed \('AdamW' -> 'SGD'\).*load_from",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    finished, tmp_path, iters, schedulers, mode, changes, message
):
    with pytest.raises(ValueError, match=message) as caught:
        _continue(finished, tmp_path, iters, schedulers, mode, **changes)
    assert '\n' not in str(caught.value)


def test_a_checkpoint_without_a_config_is_resumed_with_a_warning(
    finished, tmp_path, caplog
):
    content = torch.load(finished / 'iter_12.pth', weights_only=True)
    del content['meta']['cfg']
    torch.save(content, tmp_path / 'iter_12.pth')
    rates = _continue(tmp_path, tmp_path, 24, _cosine(24), 'extend', said=caplog)
    assert 'has no readable config' in caplog.text
    assert not math.isclose(rates[12], rates[11])


def test_what_a_checkpoint_says_of_its_schedule_is_checked(finished, tmp_path):
    """Numbers of a file that make no sense are left aside."""
    content = torch.load(finished / 'iter_12.pth', weights_only=True)
    ends = {'1.T_max': 'long', '1.type': 'PolyLR', '7.end': 3, 'end': 2}
    content['meta']['schedule'] = dict(mode='keep', start=-(10**12), ends=ends)
    torch.save(content, tmp_path / 'iter_12.pth')
    rates = _continue(tmp_path, tmp_path, 24, _cosine(12), 'extend')
    assert rates[12:] == _run(tmp_path / 'whole', 24, _cosine(24))[12:]
