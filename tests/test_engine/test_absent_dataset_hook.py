"""What no sample trained stays as it is, bit by bit, whatever the optimizer does."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import nn

from s5_mm.engine.hooks import AbsentDatasetHook
from s5_mm.engine.optimizers import AmpOptimWrapper

from ..test_models.test_segmentors.multi_dataset import batch, build, total

OPTIMIZERS = {
    'adamw': lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.5),
    'fused': lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.5, fused=True),
    'momentum': lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, weight_decay=0.1),
}


def _twice(names, seed):
    """Two samples of each: batch normalisation of pooled features needs them."""
    return batch(''.join(2 * name for name in names), seed, torch.float32)


class Training:
    """A training in which, as under DDP, everybody gets a gradient, maybe of zero."""

    def __init__(self, hook=True, optimizer='adamw', wrapper=OptimWrapper, **kwargs):
        self.model = build(torch.float32).train()
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.wrapper = wrapper(optimizer=self.optimizer, **kwargs)
        self.hook = AbsentDatasetHook() if hook else None
        self.runner = SimpleNamespace(model=self.model, optim_wrapper=self.wrapper)
        self.iteration = 0
        if hook:
            self.hook.before_train(self.runner)

    def step(self, names, factor=1.0):
        """One micro-batch; give the data sets whose parts moved, and who moved."""
        before = self.parameters()
        with self.wrapper.optim_context(self.model):
            losses = self.model.loss(*_twice(names, self.iteration))
            loss = total(losses) * factor
        loss = loss + 0 * sum(p.sum() for p in self.model.parameters())
        self.wrapper.update_params(loss)
        if self.hook:
            self.hook.after_train_iter(self.runner, self.iteration)
        self.iteration += 1
        after = self.parameters()
        return {key for key in before if not before[key].equal(after[key])}

    def parameters(self):
        return {k: p.detach().clone() for k, p in self.model.named_parameters()}

    def own(self, name):
        ours = {id(p) for p in self.model.dataset_parameters(name)}
        return {k for k, p in self.model.named_parameters() if id(p) in ours}

    def shared(self):
        return set(self.parameters()) - set().union(*map(self.own, 'abc'))


def test_every_data_set_has_experts_and_a_head_of_its_own():
    training = Training()
    for name in 'abc':
        own = training.own(name)
        assert sum('.experts.' in key for key in own) == 2 * 4
        assert any(key.startswith(f'decode_heads.{name}.') for key in own)
    assert len(training.shared()) > 40
    assert not any('expert' in key or 'head' in key for key in training.shared())


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_absent_parts_stay_and_present_ones_move(optimizer):
    """Each is present first, so that momentum would carry it on."""
    training = Training(optimizer=optimizer)
    for names in ('abc', 'ac', 'a', 'b', 'bc', 'abc'):
        moved = training.step(names)
        for name in 'abc':
            own = training.own(name)
            if name in names:
                # But for biases of convolutions before a normalisation, all move.
                assert len(moved & own) > 0.7 * len(own)
                assert any('.experts.' in key for key in moved & own)
            else:
                assert not moved & own, (names, name)
        assert len(moved & training.shared()) > 0.7 * len(training.shared())


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_without_the_hook_they_move(optimizer):
    training = Training(hook=False, optimizer=optimizer)
    training.step('abc')
    moved = training.step('a')
    for name in 'bc':
        own = training.own(name)
        assert len(moved & own) > 0.7 * len(own)


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_absent_parts_keep_the_optimizers_state(optimizer):
    """Moments and number of steps wait as well."""
    paused = Training(optimizer=optimizer)
    paused.step('bc')
    state = {
        key: {k: v.clone() for k, v in paused.optimizer.state[p].items()}
        for key, p in paused.model.named_parameters()
        if key in paused.own('b')
    }
    assert all(state.values())
    paused.step('ac')
    for key, parameter in paused.model.named_parameters():
        if key in state:
            after = paused.optimizer.state[parameter]
            assert all(after[k].equal(v) for k, v in state[key].items())


def test_equals_an_optimizer_of_the_present_parts():
    """The others' gradients of zero change nothing, nor does leaving them out."""
    training, alone = Training(), Training(hook=False)
    for names in ('ab', 'a', 'ac'):
        training.step(names)
        before = alone.parameters()
        loss = total(alone.model.loss(*_twice(names, alone.iteration)))
        alone.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        alone.optimizer.step()
        alone.iteration += 1
        assert alone.parameters().keys() == before.keys()
        for key, value in alone.parameters().items():
            assert training.parameters()[key].equal(value), key


# -- gradient accumulation ------------------------------------------------------------
@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_both_micro_batches_count(optimizer):
    training = Training(optimizer=optimizer, accumulative_counts=2)
    for first, second in (('abc', 'abc'), ('a', 'b'), ('c', 'c'), ('b', 'ca')):
        assert not training.step(first)
        moved = training.step(second)
        for name in 'abc':
            own = training.own(name)
            present = name in first + second
            assert bool(moved & own) is present, (first, second, name)
            assert len(moved & own) > 0.7 * len(own) * present - 1


# -- loss scaling ---------------------------------------------------------------------
@pytest.mark.parametrize('optimizer', ['adamw', 'fused'])
def test_a_step_that_overflowed_leaves_nobody_present(optimizer):
    """The scaler leaves the step out, of which the hook would not hear."""
    training = Training(optimizer=optimizer, wrapper=AmpOptimWrapper, dtype='float16')
    training.step('abc')
    assert not training.step('abc', factor=float('inf'))
    moved = training.step('a')
    assert len(moved & training.own('a')) > 5
    assert not moved & training.own('b')
    assert not moved & training.own('c')


# -- other models ---------------------------------------------------------------------
def test_models_of_one_data_set_are_left_alone():
    model = nn.Linear(2, 2)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0))
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper)
    hook = AbsentDatasetHook()
    hook.before_train(runner)
    assert not wrapper.optimizer._optimizer_step_pre_hooks
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    hook.after_train_iter(runner, 0)


def test_wrapped_models_are_unwrapped():
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = build(torch.float32)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=1.0)
    runner = SimpleNamespace(model=wrapped, optim_wrapper=OptimWrapper(optimizer))
    AbsentDatasetHook().before_train(runner)
    for parameter in wrapped.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapped.module.trained_datasets = {'a', 'c'}
    optimizer.step()
    assert all(p.grad is None for p in wrapped.module.dataset_parameters('b'))
    for name in 'ac':
        assert all(p.grad is not None for p in wrapped.module.dataset_parameters(name))
    assert wrapped.module.trained_datasets == set()
