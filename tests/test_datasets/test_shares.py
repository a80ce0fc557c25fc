"""How a batch is shared out: against exact arithmetic, and in the sampler."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import islice
from types import SimpleNamespace

import pytest

from s5_mm.datasets import MultiSourceSampler
from s5_mm.datasets.samplers import multi_source_sampler
from s5_mm.datasets.samplers.shares import largest_remainder, resolve_shares

NAMES = ('a', 'b', 'c', 'd')
# Training images of Vaihingen, Potsdam, OpenEarthMap and LoveDA.
LENGTHS = (1324, 12696, 2303, 2522)


def exact_parts(weights: list[Fraction], total: int) -> list[Fraction]:
    """Fair parts of at least one: the smallest are lifted to one, one by one."""
    order = sorted(range(len(weights)), key=lambda part: weights[part])
    for lifted in range(len(weights)):
        rest = order[lifted:]
        rate = Fraction(total - lifted) / sum(weights[part] for part in rest)
        if weights[rest[0]] * rate >= 1:
            break
    fair = [Fraction(1)] * len(weights)
    for part in rest:
        fair[part] = weights[part] * rate
    return fair


def compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to write a number as a sum of positive ones."""
    if parts == 1:
        return [(total,)]
    return [
        (first, *others)
        for first in range(1, total - parts + 2)
        for others in compositions(total - first, parts - 1)
    ]


def brute_force(weights: list[Fraction], total: int) -> tuple[int, ...]:
    """Nearest whole numbers; of equally near ones those that favour the earlier."""
    fair = exact_parts(weights, total)

    def distance(numbers: tuple[int, ...]) -> tuple:
        off = sum((n - f) ** 2 for n, f in zip(numbers, fair, strict=True))
        return off, tuple(-n for n in numbers)

    return min(compositions(total, len(weights)), key=distance)


# -- largest remainder ----------------------------------------------------------------
@pytest.mark.parametrize('top', [3, 12, 13000])
def test_largest_remainder_is_the_nearest_of_all(top: int) -> None:
    """Small weights give many ties, large ones many parts that are lifted to one."""
    draw = random.Random(top)
    lifted = 0
    for _ in range(250):
        count = draw.randint(1, 4)
        total = draw.randint(count, 14)
        weights = [draw.randint(1, top) for _ in range(count)]
        found = largest_remainder(weights, total)
        assert found == brute_force([Fraction(w) for w in weights], total), weights
        assert all(type(number) is int for number in found)
        lifted += any(
            w * total < sum(weights) for w in weights
        )  # less than one by weight alone
    assert lifted > 10


def test_largest_remainder_of_many_parts() -> None:
    """Too many for brute force: the definition, step by step."""
    draw = random.Random(0)
    for _ in range(100):
        count = draw.randint(5, 30)
        total = draw.randint(count, 400)
        weights = [draw.choice([1, 2, 3, 7, 100, 5000]) for _ in range(count)]
        fair = exact_parts([Fraction(w) for w in weights], total)
        numbers = [int(f) for f in fair]
        while sum(numbers) < total:
            left = [f - n for f, n in zip(fair, numbers, strict=True)]
            numbers[left.index(max(left))] += 1
        assert largest_remainder(weights, total) == tuple(numbers), (weights, total)


@pytest.mark.parametrize(
    ('weights', 'total', 'numbers'),
    [
        # Remainders of 1/3, but in floating point 4/3 - 1 < 7/3 - 2.
        ([4, 4, 7], 5, (2, 1, 2)),
        ([7, 4, 4], 5, (3, 1, 1)),
        ([4, 1, 1], 5, (3, 1, 1)),
        ([4, 1, 4], 6, (3, 1, 2)),
        ([10, 10, 10], 4, (2, 1, 1)),
        ([10, 10, 10], 5, (2, 2, 1)),
        ([1, 1000], 2, (1, 1)),
        ([1, 1000], 10, (1, 9)),
        ([0.5], 3, (3,)),
    ],
)
def test_largest_remainder_by_hand(
    weights: list, total: int, numbers: tuple[int, ...]
) -> None:
    assert largest_remainder(weights, total) == numbers


# -- numbers --------------------------------------------------------------------------
def test_numbers_stay_as_they_are() -> None:
    assert resolve_shares([1, 0, 2, 3], NAMES, LENGTHS) == (1, 0, 2, 3)
    assert resolve_shares((1, 0, 2, 3), NAMES, LENGTHS, 6) == (1, 0, 2, 3)
    turned = dict(d=3, b=0, a=1, c=2)
    assert resolve_shares(turned, NAMES, LENGTHS) == (1, 0, 2, 3)
    assert resolve_shares(turned, NAMES, LENGTHS, 6) == (1, 0, 2, 3)


def test_a_source_may_be_called_temperature() -> None:
    names = ('temperature',)
    assert resolve_shares(dict(temperature=4), names, (7,)) == (4,)
    names = ('temperature', 'b')
    assert resolve_shares(dict(b=2, temperature=4), names, (7, 8)) == (4, 2)
    with pytest.raises(ValueError, match=r'shares=\{\} names \[\], the sources are'):
        resolve_shares({}, names, (7, 8))


# -- rules ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ('batch_size', 'numbers'),
    [(4, (1, 1, 1, 1)), (6, (2, 2, 1, 1)), (7, (2, 2, 2, 1)), (48, (12,) * 4)],
)
def test_equal(batch_size: int, numbers: tuple[int, ...]) -> None:
    assert resolve_shares('equal', NAMES, LENGTHS, batch_size) == numbers
    assert resolve_shares('equal', NAMES, LENGTHS[::-1], batch_size) == numbers


def test_size() -> None:
    assert resolve_shares('size', 'abc', (4, 4, 7), 5) == (2, 1, 2)
    assert resolve_shares('size', NAMES, LENGTHS, 48) == (3, 32, 6, 7)
    for batch_size in range(4, 20):
        numbers = resolve_shares('size', NAMES, LENGTHS, batch_size)
        assert numbers == brute_force([Fraction(n) for n in LENGTHS], batch_size)


@pytest.mark.parametrize('batch_size', [4, 5, 13, 16])
@pytest.mark.parametrize('root', [1, 2, 4])
def test_temperature_takes_the_root_of_the_lengths(root: int, batch_size: int) -> None:
    """Lengths whose T-th roots are whole numbers make the weights exact."""
    roots = [3, 11, 5, 2]
    lengths = [number**root for number in roots]
    rule = dict(temperature=root)
    numbers = resolve_shares(rule, NAMES, lengths, batch_size)
    assert numbers == brute_force([Fraction(number) for number in roots], batch_size)
    assert sum(numbers) == batch_size


@pytest.mark.parametrize('batch_size', range(4, 60, 5))
def test_temperature_lies_between_size_and_equal(batch_size: int) -> None:
    def at(temperature: float) -> tuple[int, ...]:
        rule = dict(temperature=temperature)
        return resolve_shares(rule, NAMES, LENGTHS, batch_size)

    assert at(1) == at(1.0) == resolve_shares('size', NAMES, LENGTHS, batch_size)
    equal = resolve_shares('equal', NAMES, LENGTHS, batch_size)
    assert at(1e18) == at(float('inf')) == equal
    # A low temperature gives everything to the largest, and one to the others.
    assert at(1e-3) == at(1e-200) == (1, batch_size - 3, 1, 1)
    largest = [at(t)[1] for t in (1e-2, 0.5, 1, 2, 4, 8, 1e18)]
    assert largest == sorted(largest, reverse=True)
    for temperature in (1e-2, 0.5, 1, 2, 4, 8):
        numbers = at(temperature)
        assert sum(numbers) == batch_size
        assert min(numbers) >= 1


# -- errors ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ('shares', 'batch_size', 'message'),
    [
        (
            'equals',
            8,
            r"shares='equals'; allowed are \['equal', 'size'\], dict\(temperature=T\), "
            'a number for each source',
        ),
        (dict(temperature=0), 8, r"shares=\{'temperature': 0\}: .* must be positive"),
        (dict(temperature=-2), 8, r"shares=\{'temperature': -2\}: .* must be positive"),
        (
            dict(temperature=float('nan')),
            8,
            r"shares=\{'temperature': nan\}: the temperature must be positive",
        ),
        (
            dict(a=1, b=2, c=3, e=4),
            None,
            r"shares=\{'a': 1, 'b': 2, 'c': 3, 'e': 4\} names \['a', 'b', 'c', 'e'\], "
            r"the sources are \['a', 'b', 'c', 'd'\]",
        ),
        (
            dict(a=1, b=2, c=3, d=4, temperature=2),
            8,
            r"names \['a', 'b', 'c', 'd', 'temperature'\], the sources are",
        ),
        (dict(a=1), None, r"shares=\{'a': 1\} names \['a'\], the sources are"),
        (
            'equal',
            None,
            r"shares='equal' needs sampler\.batch_size of at least 4, one sample of "
            r"each of \['a', 'b', 'c', 'd'\], got None",
        ),
        ('size', 3, r"shares='size' needs sampler\.batch_size of .* got 3"),
        ('size', 8.0, r"shares='size' needs sampler\.batch_size of .* got 8\.0"),
        (
            dict(temperature=2),
            '8',
            r"shares=\{'temperature': 2\} needs sampler\.batch_size .* got '8'",
        ),
        (
            [1, 2, 3, 4],
            12,
            r'sampler\.batch_size=12, but shares=\[1, 2, 3, 4\] are 10: leave it out',
        ),
        (
            dict(d=4, a=1, b=2, c=3),
            9,
            r'sampler\.batch_size=9, but shares=\[1, 2, 3, 4\] are 10: leave it out',
        ),
    ],
)
def test_errors(shares: object, batch_size: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_shares(shares, NAMES, LENGTHS, batch_size)
    # They reach the user of the sampler as they are.
    dataset = SimpleNamespace(source_lengths=LENGTHS, source_names=NAMES)
    with pytest.raises(ValueError, match=message):
        MultiSourceSampler(dataset, shares, seed=0, batch_size=batch_size)


# -- in the sampler -------------------------------------------------------------------
def drawn(
    shares: object, batch_size: int | None, count: int, monkeypatch, rank: int, world
) -> list[tuple]:
    monkeypatch.setattr(multi_source_sampler, 'get_dist_info', lambda: (rank, world))
    dataset = SimpleNamespace(source_lengths=(5, 12, 9), source_names=('a', 'b', 'c'))
    sampler = MultiSourceSampler(dataset, shares, seed=3, batch_size=batch_size)
    assert sampler.batch_size == 6
    return [(int(index), index.key) for index in islice(iter(sampler), count)]


@pytest.mark.parametrize(
    ('shares', 'numbers'),
    [
        ('equal', [2, 2, 2]),
        ('size', [1, 3, 2]),
        (dict(temperature=2), [2, 2, 2]),
        (dict(c=1, a=2, b=3), [2, 3, 1]),
    ],
)
@pytest.mark.parametrize('world', [1, 2])
def test_rules_give_the_stream_of_their_numbers(
    shares: object, numbers: list, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = []
    for rank in range(world):
        ruled = drawn(shares, 6, 60, monkeypatch, rank, world)
        listed = drawn(numbers, None, 60, monkeypatch, rank, world)
        assert ruled == listed
        for step in range(0, 60, 6):
            counted = Counter(key.source for _, key in ruled[step : step + 6])
            assert [counted[source] for source in range(3)] == numbers
        ranks.append({key for _, key in ruled})
    if world == 2:
        assert not ranks[0] & ranks[1]
