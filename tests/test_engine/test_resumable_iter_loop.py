import pytest

from s5_mm.engine.loops.train_state import TrainState
from s5_mm.utils.batch_size import pass_batch_size

from .toy import toy_runner


def test_batch_size_must_be_the_samplers(tmp_path):
    runner = toy_runner(tmp_path, train_dataloader__batch_size=5)
    with pytest.raises(
        ValueError, match=r'batch_size is 5, but its sampler ToySampler .* of 4'
    ):
        runner.train()


def test_sampler_must_skip(tmp_path):
    runner = toy_runner(
        tmp_path, train_dataloader__sampler=dict(type='DefaultSampler', shuffle=True)
    )
    with pytest.raises(TypeError, match=r'DefaultSampler has no method skip'):
        runner.train()


def test_hosts_infinite_sampler_will_do(tmp_path):
    runner = toy_runner(
        tmp_path,
        train_dataloader__sampler=dict(type='InfiniteSampler'),
        train_cfg__max_iters=2,
    )
    runner.train()
    assert runner.iter == 2


CHANGES = {
    'seed': (dict(randomness__seed=6), 'seed was 5 and is now 6'),
    'global_batch': (
        dict(train_dataloader__sampler__shares=[2, 2]),
        r'global_batch was \[1, 3\] and is now \[2, 2\]',
    ),
    'dataset_lengths': (
        dict(train_dataloader__dataset__length=51),
        "dataset_lengths was {'train': 50} and is now {'train': 51}",
    ),
}


@pytest.mark.parametrize('name', CHANGES)
def test_change_on_resume_is_an_error_or_allowed(tmp_path, name):
    changes, message = CHANGES[name]
    toy_runner(tmp_path, train_cfg__max_iters=4).train()
    with pytest.raises(ValueError, match=message) as caught:
        toy_runner(tmp_path, resume=True, **changes).train()
    assert f"allow_changes=['{name}']" in str(caught.value)

    runner = toy_runner(
        tmp_path, resume=True, train_cfg__allow_changes=[name], **changes
    )
    runner.train()
    assert runner.iter == 24


def test_unknown_change_cannot_be_allowed(tmp_path):
    runner = toy_runner(tmp_path, train_cfg__allow_changes=['sead'])
    with pytest.raises(ValueError, match=r"unknown \['sead'\]; allowed are"):
        runner.train()


def test_checkpoint_of_the_hosts_loop_resumes_with_a_warning(tmp_path, caplog):
    toy_runner(tmp_path, train_cfg=dict(type='IterBasedTrainLoop', max_iters=4)).train()
    runner = toy_runner(tmp_path, resume=True)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert 'cannot be checked' in caplog.text


class _Data:
    """The loader of one process of several."""

    batch_size = 4

    class sampler:
        shares, seed = [1, 3], 0

    class dataset:
        source_names, source_lengths = ['sup', 'unsup'], [10, 100]


class _Runner:
    seed = 7
    world_size = 1


def test_world_size_may_change_with_the_same_global_batch():
    alone = TrainState.of_dataloader(_Data, _Runner)
    assert alone == TrainState(0, [1, 3], {'sup': 10, 'unsup': 100})

    class half(_Data):
        class sampler:
            shares, seed = [2, 6], 0

    class two(_Runner):
        world_size = 2

    assert TrainState.of_dataloader(half, _Runner) == TrainState.of_dataloader(
        _Data, two
    )
    assert alone != TrainState.of_dataloader(_Data, two)


@pytest.mark.parametrize(
    ('sampler', 'want'),
    [
        (dict(shares='equal'), 8),
        (dict(shares=dict(temperature=2)), 8),
        (dict(shares='equal', batch_size=4), 4),  # what is written stays
        (dict(shares=[1, 3]), None),
        (dict(type='InfiniteSampler'), None),
    ],
)
def test_a_sampler_that_shares_by_a_rule_gets_the_loaders_batch_size(sampler, want):
    loader = dict(batch_size=8, sampler=sampler)
    told = pass_batch_size(loader)
    assert told['sampler'].get('batch_size') == want
    assert 'batch_size' not in sampler or sampler['batch_size'] == 4


def _epochs(**kwargs):
    return dict(type='s5_mm.ResumableIterLoop', **kwargs)


def test_epochs_of_the_data(tmp_path):
    runner = toy_runner(tmp_path, train_cfg=_epochs(max_epochs=2, val_interval=1))
    runner.train()
    loop = runner.train_loop
    epoch = len(loop.dataloader)
    assert 50 // 4 <= epoch <= 50 // 4 + 1
    assert (loop.max_iters, loop.max_epochs, loop.val_interval) == (
        2 * epoch,
        2,
        epoch,
    )
    assert runner.iter == 2 * epoch


def test_schedulers_in_epochs_are_converted_or_refused(tmp_path):
    step = dict(type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=True)
    with pytest.raises(ValueError, match=r"\['MultiStepLR'\] count epochs"):
        toy_runner(
            tmp_path, train_cfg=_epochs(max_epochs=2), param_scheduler=[step]
        ).train()
    runner = toy_runner(
        tmp_path,
        train_cfg=_epochs(max_epochs=2),
        param_scheduler=[dict(step, convert_to_iter_based=True)],
    )
    first = runner.optim_wrapper['optimizer']['lr']
    runner.train()
    (scheduler,) = runner.param_schedulers
    assert list(scheduler.milestones) == [len(runner.train_dataloader)]
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(first / 10)]


@pytest.mark.parametrize('given', [dict(max_iters=-4), dict(max_epochs=0)])
def test_a_length_below_one_is_refused(tmp_path, given):
    ((name, value),) = given.items()
    with pytest.raises(
        ValueError, match=rf'train_cfg\.{name}={value}, expected at least 1'
    ):
        toy_runner(tmp_path, train_cfg=_epochs(**given)).train()


@pytest.mark.parametrize('given', [{}, dict(max_iters=3, max_epochs=2)])
def test_one_measure_of_length(tmp_path, given):
    with pytest.raises(ValueError, match='expected exactly one of them'):
        toy_runner(tmp_path, train_cfg=_epochs(**given)).train()
