"""The order of the stream: shares, epochs, ranks, skipping."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from types import SimpleNamespace

import pytest

from s5_mm.datasets import MultiSourceSampler
from s5_mm.datasets.samplers import multi_source_sampler
from s5_mm.utils.randomness import SampleKey

LENGTHS = (7, 20, 20)


def fake(*lengths: int) -> SimpleNamespace:
    names = tuple(f's{i}' for i in range(len(lengths)))
    return SimpleNamespace(source_lengths=lengths, source_names=names)


def stream(
    count: int,
    shares: list[int],
    monkeypatch: pytest.MonkeyPatch | None = None,
    rank: int = 0,
    world: int = 1,
    skip: int = 0,
    lengths: tuple[int, ...] = LENGTHS,
    **kwargs: object,
) -> list[tuple[int, SampleKey]]:
    if monkeypatch:
        monkeypatch.setattr(
            multi_source_sampler, 'get_dist_info', lambda: (rank, world)
        )
    sampler = MultiSourceSampler(fake(*lengths), shares, **{'seed': 5, **kwargs})
    sampler.skip(skip)
    return [(int(index), index.key) for index in islice(iter(sampler), count)]


def test_shares_and_epochs() -> None:
    batch, steps = 8, 50
    drawn = stream(batch * steps, [3, 5, 0])
    for step in range(steps):
        step_keys = [key for _, key in drawn[step * batch : (step + 1) * batch]]
        assert [key.source for key in step_keys] == [0] * 3 + [1] * 5
    for source, start in ((0, 0), (1, 7)):
        mine = [(i - start, key) for i, key in drawn if key.source == source]
        assert [key.position for _, key in mine] == list(range(len(mine)))
        length, epochs = LENGTHS[source], set()
        for first in range(0, len(mine) - length, length):
            order = tuple(index for index, _ in mine[first : first + length])
            assert sorted(order) == list(range(length))  # a permutation each
            epochs.add(order)
        assert len(epochs) == (len(mine) - 1) // length  # and never the same one
    assert drawn != stream(batch * steps, [3, 5, 0], seed=6)


@pytest.mark.parametrize('world', [2, 4])
def test_any_number_of_ranks_draws_the_same_global_batches(
    world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, steps = [4, 8, 0], 12
    whole = stream(12 * steps, shares, monkeypatch)
    shares = [share // world for share in shares]
    batch = sum(shares)
    ranks = [
        stream(batch * steps, shares, monkeypatch, rank, world) for rank in range(world)
    ]
    for step in range(steps):
        together = [
            x for rank in ranks for x in rank[step * batch : (step + 1) * batch]
        ]
        assert (
            sorted(together, key=lambda x: x[1]) == whole[step * 12 : (step + 1) * 12]
        )


@pytest.mark.parametrize('skip', [0, 8, 8 * 10**6, 3])
def test_skip_is_equivalent_to_drawing(skip: int) -> None:
    skipped = stream(40, [3, 5, 0], skip=skip)
    if skip < 10**4:
        assert skipped == stream(skip + 40, [3, 5, 0])[skip:]
    steps, _ = divmod(skip, 8)
    positions = [key.position for _, key in skipped if key.source == 1]
    assert positions[0] == steps * 5
    assert len(set(positions)) == len(positions)


def test_every_iteration_starts_at_the_same_place() -> None:
    sampler = MultiSourceSampler(fake(*LENGTHS), [1, 1, 0], seed=0)
    first = list(islice(iter(sampler), 30))
    assert list(islice(iter(sampler), 30)) == first
    sampler.skip(10)
    assert list(islice(iter(sampler), 20)) == first[10:]
    sampler.skip(20)  # absolute, not relative
    assert list(islice(iter(sampler), 10)) == first[20:]
    sampler.set_epoch(3)
    assert list(islice(iter(sampler), 10)) == first[20:]
    assert len(sampler) == 2 * max(LENGTHS[:2])  # the longer one, seen once
    assert sampler.batch_size == 2


def test_share_larger_than_the_source() -> None:
    drawn = stream(64, [32, 0, 0], lengths=(3, 1, 1))
    assert Counter(index for index, _ in drawn).most_common()[-1][1] >= 21


def test_followers_see_the_same_images_with_other_draws() -> None:
    drawn = stream(400, [0, 4, 4], follows=[None, None, 1])
    leader = [(i - 7, key) for i, key in drawn if key.source == 1]
    follower = [(i - 27, key) for i, key in drawn if key.source == 2]
    assert [i for i, _ in leader] == [i for i, _ in follower]
    assert [k.position for _, k in leader] == [k.position for _, k in follower]
    free = stream(400, [0, 4, 4])
    assert [i - 27 for i, key in free if key.source == 2] != [i for i, _ in follower]


def test_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_source_sampler, 'sync_random_seed', lambda: 99)
    sampler = MultiSourceSampler(fake(5), [1])
    assert sampler.seed == 99
    assert next(iter(sampler)).key.seed == 99


@pytest.mark.parametrize(
    ('shares', 'kwargs', 'message'),
    [
        ([1, 2], {}, r"shares=\[1, 2\] for the 3 sources \['s0', 's1', 's2'\]"),
        ([0, 0, 0], {}, 'not all 0'),
        ([1, -1, 1], {}, 'whole numbers of at least 0'),
        ([1, 0.5, 1], {}, 'whole numbers of at least 0'),
        ([1, 1, 1], {'follows': [1]}, 'expected one entry each'),
        ([1, 1, 1], {'follows': [None, None, 3]}, 'source 2 cannot follow 3'),
        ([1, 1, 1], {'follows': [None, 2, 1]}, 'another source that follows none'),
        ([1, 1, 1], {'follows': [None, 0, None]}, 'expected equal lengths and shares'),
        ([1, 1, 2], {'follows': [None, None, 1]}, 'expected equal lengths and shares'),
    ],
)
def test_sampler_errors(shares: list, kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiSourceSampler(fake(*LENGTHS), shares, seed=0, **kwargs)


def test_sampler_needs_sources() -> None:
    with pytest.raises(
        TypeError, match='got a list, expected a s5_mm.MultiSourceDataset'
    ):
        MultiSourceSampler([1, 2], [1])
    with pytest.raises(ValueError, match='num_samples=-1, expected at least 0'):
        MultiSourceSampler(fake(3), [1], seed=0).skip(-1)
