"""DDP without ``find_unused_parameters``, also where a data set is absent."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from s5_mm.engine.hooks import AbsentDatasetHook

from ...support.distributed import run_ranks
from .multi_dataset import batch, build

# Each process has as many samples of each data set as the other; the second and third
# batch lack one.
BATCHES = ['aabbcccc', 'aaaabb', 'bbbbcc', 'aabbcccc']


def shares(names, world):
    """Indices of each process: the first half of every data set, and the second."""
    own = [[] for _ in range(world)]
    for name in sorted(set(names)):
        indices = [i for i, other in enumerate(names) if other == name]
        size = len(indices) // world
        for rank in range(world):
            own[rank] += indices[rank * size : (rank + 1) * size]
    return own


def train(rank, world, hook=True):
    """Run four steps of AdamW with weight decay; return weights after each."""
    model = build().train()
    network = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    if hook:
        runner = SimpleNamespace(
            model=model, optim_wrapper=SimpleNamespace(optimizer=optimizer)
        )
        AbsentDatasetHook().before_train(runner)
    logged, states = [], []
    for seed, names in enumerate(BATCHES):
        images, samples = batch(names, seed)
        own = shares(names, world)[rank]
        losses = network(images[own], [samples[i] for i in own], mode='loss')
        loss, log = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logged.append({name: float(value) for name, value in log.items()})
        states.append({k: v.clone() for k, v in model.state_dict().items()})
    return logged, states


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('ranks')
    return train(0, 1), run_ranks(train, 2, folder)


def test_two_processes_train_as_one(trained):
    (logged, states), ranks = trained
    for others, weights in ranks:
        for one, two in zip(logged, others, strict=True):
            assert one.keys() == two.keys()
            for name, value in one.items():
                assert two[name] == pytest.approx(value, rel=1e-6), name
        for one, two in zip(states, weights, strict=True):
            for name, value in one.items():
                torch.testing.assert_close(two[name], value, rtol=1e-6, atol=1e-6,
                                           msg=name)  # fmt: skip


def test_absent_data_set_is_left_alone(trained):
    for _, states in (trained[0], *trained[1]):
        for step, name in ((1, 'c'), (2, 'a')):
            for key, value in states[step].items():
                own = f'.experts.{name}.' in key or f'decode_heads.{name}.' in key
                same = torch.equal(value, states[step - 1][key])
                if own:
                    assert same, key
                elif key.endswith('ffn.layers.1.weight'):
                    assert not same, key


def test_without_the_hook_weight_decay_moves_what_is_absent(tmp_path):
    _, states = run_ranks(train, 2, tmp_path, False)[0]
    key = 'backbone.layers.0.ffn.experts.c.weight'
    assert not torch.equal(states[1][key], states[0][key])
