"""A NaN that comes into a training changes nothing and does not stay unseen."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from s5_mm.checkpoints import load_data_only
from s5_mm.checkpoints.comparison import checkpoint_differences, last_checkpoint
from s5_mm.engine.hooks import NonFiniteHook
from s5_mm.engine.optimizers import AmpOptimWrapper, OptimWrapper

from ..support.distributed import run_ranks
from .toy import toy_config, toy_runner

ADAMW = dict(type='AdamW', lr=0.01, fused=True)
SGD = dict(type='SGD', lr=0.01, momentum=0.9)
AMP = dict(type='s5_mm.AmpOptimWrapper', optimizer=ADAMW)
WRAPPERS = {
    'fp32': dict(type='s5_mm.OptimWrapper', optimizer=ADAMW),
    'clipped': dict(
        type='s5_mm.OptimWrapper', optimizer=ADAMW, clip_grad=dict(max_norm=1.0)
    ),
    'not fused': dict(type='s5_mm.OptimWrapper', optimizer=SGD),
    'accumulated': dict(
        type='s5_mm.OptimWrapper', optimizer=ADAMW, accumulative_counts=3
    ),
    'bfloat16': dict(AMP, dtype='bfloat16'),
    'float16': dict(AMP, dtype='float16', loss_scale=dict(init_scale=16.0)),
}


class _Poison(Hook):
    """Put a value into the images of some iterations, counted from 1."""

    def __init__(self, iterations, value=math.nan):
        self.iterations, self.value = set(iterations), value

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 in self.iterations:
            data_batch['inputs'][0] = self.value


class _States(Hook):
    """Keep the state after every iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.of = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        wrapper = runner.optim_wrapper
        state = dict(
            model=runner.model.state_dict(), optimizer=wrapper.optimizer.state_dict()
        )
        state['optimizer'].pop('param_groups')  # rates go on
        state['model'].pop('norm.num_batches_tracked')
        self.of[runner.iter + 1] = _copied(state)


def _copied(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    return (
        {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else value
    )


def _runner(work_dir, wrapper='fp32', poison=(), value=math.nan, guard=None, **changes):
    hooks = toy_config()['custom_hooks']
    if guard is not False:
        hooks.append(dict(type='s5_mm.NonFiniteHook', **(guard or {})))
    changes = {
        'optim_wrapper': dict(WRAPPERS[wrapper]),
        'custom_hooks': hooks,
        **changes,
    }
    runner = toy_runner(work_dir, **changes)
    if poison:
        runner.register_hook(_Poison(poison, value))
    return runner


def _finite(tree):
    if isinstance(tree, torch.Tensor):
        return not tree.is_floating_point() or bool(tree.isfinite().all())
    if isinstance(tree, dict):
        return all(map(_finite, tree.values()))
    return True


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_a_healthy_run_is_the_same_to_the_bit(tmp_path, wrapper):
    for name, guard in (('with', None), ('without', False)):
        _runner(tmp_path / name, wrapper, guard=guard).train()
    first, second = (last_checkpoint(tmp_path / name) for name in ('with', 'without'))
    assert checkpoint_differences(first, second) == []


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_one_bad_iteration_leaves_no_trace(tmp_path, caplog, wrapper, value):
    runner = _runner(
        tmp_path,
        wrapper,
        poison=[8],
        value=value,
        train_cfg__max_iters=12,
        default_hooks__checkpoint__interval=6,
    )
    states = _States()
    runner.register_hook(states)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    if wrapper == 'accumulated':  # iterations 7 to 9 are one update
        before, after, update = 6, 9, 9
        parts = ('optimizer',)
        names = [name for name, _ in runner.model.named_parameters()]
        pair = [{n: states.of[i]['model'][n] for n in names} for i in (before, after)]
        assert checkpoint_differences(*pair) == []
        assert _finite(states.of[8]['model'])
    else:
        before, after, update, parts = 7, 8, 8, ('model', 'optimizer')
    for part in parts:
        assert (
            checkpoint_differences(states.of[before][part], states.of[after][part])
            == []
        )
    assert (
        checkpoint_differences(states.of[after]['model'], states.of[12]['model']) != []
    )
    assert f'loss or gradient was not finite: iteration {update}' in caplog.text
    final = last_checkpoint(tmp_path)
    assert _finite(final['state_dict'])
    assert _finite(final['ema_state_dict'])
    assert _finite(final['optimizer']['state'])


def test_statistics_that_overflow_are_taken_back_where_the_loss_is_finite(tmp_path):
    runner = _runner(tmp_path, poison=[8], value=1e30, train_cfg__max_iters=8)
    states = _States()
    runner.register_hook(states)
    runner.train()
    before, after = (states.of[iteration]['model'] for iteration in (7, 8))
    for name in ('norm.running_mean', 'norm.running_var'):
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before['head.bias'], after['head.bias'])


def test_a_run_of_nothing_but_nan_stops_at_the_first_log_point(tmp_path):
    runner = _runner(tmp_path, poison=range(1, 25))
    with pytest.raises(FloatingPointError, match='5 of the last 5 updates') as caught:
        runner.train()
    text = str(caught.value)
    assert '\n' not in text
    assert 'the first at iteration 1; default_hooks.non_finite.max_rate=0.1' in text
    assert f'The last sane checkpoint is kept: {tmp_path / "iter_4.pth"}' in text
    assert _finite(load_data_only(tmp_path / 'iter_4.pth')['state_dict'])


def test_a_short_run_of_nothing_but_nan_stops_at_its_end(tmp_path):
    runner = _runner(tmp_path, poison=range(1, 4), train_cfg__max_iters=3)
    with pytest.raises(FloatingPointError, match='3 of the last 3.*No checkpoint was'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_too_many_stop_the_run_and_it_resumes_from_what_it_names(tmp_path):
    _runner(tmp_path / 'sane', train_cfg__max_iters=8).train()
    runner = _runner(tmp_path / 'bad', poison=range(9, 25))
    with pytest.raises(FloatingPointError) as caught:
        runner.train()
    assert '7 of the last 15 updates' in str(caught.value)
    assert 'the first at iteration 9' in str(caught.value)
    last = tmp_path / 'bad' / 'iter_12.pth'
    assert f'is kept: {last}' in str(caught.value)
    # Saved within the bad stretch, with the weights from before it.
    names = [name for name, _ in runner.model.named_parameters()]
    sane, kept = (
        last_checkpoint(tmp_path / name)['ema_state_dict'] for name in ('sane', 'bad')
    )  # where the host's average leaves the weights that are trained
    for name in names:
        assert torch.equal(sane[f'module.{name}'], kept[f'module.{name}'])
    resumed = _runner(tmp_path / 'bad', resume=True)
    resumed.train()
    assert resumed.iter == 24


@pytest.mark.parametrize(
    ('guard', 'stops'),
    [(dict(max_rate=0.5), False), (dict(window=3), True), (dict(window=24), True)],
)
def test_the_rate_is_that_of_the_last_updates(tmp_path, guard, stops):
    runner = _runner(tmp_path, poison=[7, 8, 9, 10], guard=guard)
    if not stops:
        runner.train()
        return
    with pytest.raises(FloatingPointError, match=f'{min(4, guard["window"])} of the'):
        runner.train()


def test_overflow_while_the_scale_is_searched_is_not_counted(tmp_path, caplog):
    wrapper = dict(AMP, dtype='float16', loss_scale=dict(init_scale=2.0**28))
    runner = _runner(tmp_path, optim_wrapper=wrapper)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**26
    assert 'not finite' not in caplog.text


def test_nan_in_float16_is_counted_whatever_the_scale(tmp_path):
    runner = _runner(tmp_path, 'float16', poison=range(1, 25))
    with pytest.raises(FloatingPointError, match='5 of the last 5'):
        runner.train()


def test_another_wrapper_is_named(tmp_path, caplog):
    wrapper = dict(type='OptimWrapper', optimizer=ADAMW)
    runner = _runner(tmp_path, optim_wrapper=wrapper, train_cfg__max_iters=2)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    assert 'are not skipped, only s5_mm.OptimWrapper and' in caplog.text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(max_rate=1.5), 'max_rate=1.5, expected 0 to 1'),
        (dict(window=0), 'window=0, expected at least 1'),
        (dict(interval=0), 'interval=0, expected at least 1, or None'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NonFiniteHook(**arguments)


# -- the wrappers alone ---------------------------------------------------------------
def _step(wrapper, net, factor, image=None):
    image = torch.ones(4, 3) if image is None else image
    with wrapper.optim_context(net):
        loss = net(image).square().mean()
    wrapper.update_params(loss * factor)


@pytest.mark.parametrize('scaled', [False, True])
def test_first_update_of_fused_momentum_may_be_a_bad_one(scaled):
    nets = [nn.Linear(3, 2, bias=False) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net, factors in zip(nets, ((math.nan, 1.0, 1.0), (1.0, 1.0)), strict=True):
        optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, fused=True)
        wrapper = (
            AmpOptimWrapper('float16', loss_scale=4.0, optimizer=optimizer)
            if scaled
            else OptimWrapper(optimizer)
        )
        wrapper.skip_non_finite = True
        for factor in factors:
            _step(wrapper, net, factor)
    assert torch.equal(nets[0].weight, nets[1].weight)


@pytest.mark.parametrize('scaled', [False, True])
def test_a_bad_loss_counts_though_every_gradient_is_finite(scaled):
    """A loss over ignored pixels alone is 0 / 0, and its gradient is zero."""
    net = nn.Conv2d(3, 2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), 0.1, fused=True)
    wrapper = (
        AmpOptimWrapper('float16', loss_scale=4.0, optimizer=optimizer)
        if scaled
        else OptimWrapper(optimizer)
    )
    wrapper.skip_non_finite = True
    image, ignored = torch.ones(1, 3, 4, 4), torch.full((1, 4, 4), 255)
    _step(wrapper, net, 1.0, image)

    def loss():
        return nn.functional.cross_entropy(net(image), ignored, ignore_index=255)

    loss().backward()
    assert loss().isnan()
    assert net.weight.grad.isfinite().all()
    wrapper.zero_grad()
    before = _copied(net.state_dict())
    wrapper.update_params(loss())
    assert wrapper.non_finite == 1
    assert checkpoint_differences(before, _copied(net.state_dict())) == []
    _step(wrapper, net, 1.0, image)
    assert checkpoint_differences(before, _copied(net.state_dict())) != []


def test_one_huge_but_finite_gradient_is_no_reason_to_skip():
    net = nn.Linear(3, 2)
    wrapper = OptimWrapper(torch.optim.AdamW(net.parameters(), 0.1, fused=True))
    wrapper.skip_non_finite = True
    before = _copied(net.state_dict())
    _step(wrapper, net, 1e18)
    assert wrapper.non_finite == 0
    assert checkpoint_differences(before, _copied(net.state_dict())) != []


def _rank_steps(rank, world):
    """Two updates; in the second only rank 1 has a bad loss."""
    found = {}
    for kind in ('gradient', 'loss'):
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        model = DistributedDataParallel(net)
        wrapper = OptimWrapper(torch.optim.AdamW(net.parameters(), 0.1, fused=True))
        wrapper.skip_non_finite = True
        image = torch.ones(4, 3) * (rank + 1)
        _step(wrapper, model, 1.0, image)
        before = _copied(net.state_dict())
        loss = model(image).square().mean()
        if rank == 1:
            # Not the gradient, or the loss alone.
            loss = loss * math.nan if kind == 'gradient' else loss + math.nan
        wrapper.update_params(loss)
        found[kind] = dict(
            skipped=bool(wrapper.non_finite),
            same=checkpoint_differences(before, _copied(net.state_dict())) == [],
            weight=net.weight.detach(),
        )
    return found


def test_all_processes_skip_together(tmp_path):
    first, second = run_ranks(_rank_steps, 2, tmp_path)
    for kind in ('gradient', 'loss'):
        assert [own[kind]['skipped'] for own in (first, second)] == [True, True]
        assert [own[kind]['same'] for own in (first, second)] == [True, True]
        assert torch.equal(first[kind]['weight'], second[kind]['weight'])
