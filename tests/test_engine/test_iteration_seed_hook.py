import random

import numpy as np
import pytest
import torch

from s5_mm.engine.hooks import IterationSeedHook

from .toy import toy_runner


def _draws():
    return random.random(), np.random.rand(), torch.rand(1).item(), torch.rand(1).item()


@pytest.fixture
def runner(tmp_path):
    runner = toy_runner(tmp_path)
    _ = runner.train_loop  # built, as in training
    return runner


def _draws_at(runner, iteration, hook=None, val=False):
    hook = hook or IterationSeedHook()
    runner.train_loop._iter = iteration
    if val:
        hook.before_val_epoch(runner)
    else:
        hook.before_train_iter(runner, 0)
    return _draws()


def test_draws_are_a_function_of_the_iteration(runner):
    first = _draws_at(runner, 3)
    random.random(), np.random.rand(), torch.rand(7)
    assert _draws_at(runner, 3) == first


def test_every_argument_matters(runner, monkeypatch):
    draws = [_draws_at(runner, 3), _draws_at(runner, 4), _draws_at(runner, 3, val=True)]
    draws.append(_draws_at(runner, 3, IterationSeedHook(seed=6)))
    monkeypatch.setattr('s5_mm.engine.hooks.iteration_seed_hook.get_rank', lambda: 1)
    draws.append(_draws_at(runner, 3))
    for generator in zip(*draws, strict=True):
        assert len(set(generator)) == len(draws)


def test_seed_is_the_runs_unless_given(runner):
    assert _draws_at(runner, 2) == _draws_at(runner, 2, IterationSeedHook(seed=5))


def test_validation_alone_does_not_build_the_training_loop(tmp_path):
    runner = toy_runner(tmp_path)
    runner.val()
    assert isinstance(runner._train_loop, dict)
