"""Labelled images by seed: the order of the draw and its strata."""

from __future__ import annotations

import hashlib
import random
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from s5_mm.datasets.splits import cover, draw_order, parse_size, resolve_sizes


def names(count: int) -> list[str]:
    return [f'img_dir/{index:04}.png' for index in range(count)]


def union(sets: list[frozenset[int]], chosen: list[int]) -> set[int]:
    return set().union(*(sets[index] for index in chosen))


def test_order_is_that_of_sha256() -> None:
    listed = names(50)
    wanted = sorted(
        listed, key=lambda name: hashlib.sha256(f'7/0/{name}'.encode()).hexdigest()
    )
    assert [listed[index] for index in draw_order(listed, 7)] == wanted
    shuffled = random.Random(0).sample(listed, 50)
    assert [shuffled[index] for index in draw_order(shuffled, 7)] == wanted
    assert draw_order(listed, 8) != draw_order(listed, 7)


def test_every_image_is_drawn_alike() -> None:
    first = np.bincount([draw_order(names(10), seed)[0] for seed in range(3000)])
    assert len(first) == 10
    assert (abs(first - 300) < 5 * np.sqrt(300 * 0.9)).all()


def test_stratified_order_starts_with_all_classes() -> None:
    """Common classes everywhere, class 2 in one image of 200."""
    sets = [frozenset({0, 1})] * 200
    sets[123] = frozenset({2})
    sets[77] = frozenset({0, 3})
    plain = [draw_order(names(200), seed)[:3] for seed in range(30)]
    assert not any(union(sets, order) == {0, 1, 2, 3} for order in plain)
    orders = [draw_order(names(200), seed, sets, 3) for seed in range(30)]
    for order in orders:
        assert sorted(order) == list(range(200))
        assert union(sets, order[:3]) == {0, 1, 2, 3}
    assert len({tuple(order[:3]) for order in orders}) > 20  # the third differs
    assert orders[4] == draw_order(names(200), 4, sets, 3)


def test_stratified_draw_is_a_plain_one_that_fits() -> None:
    sets = [frozenset({index % 3}) for index in range(30)]
    for seed in range(20):
        order = draw_order(names(30), seed, sets, 3)
        assert union(sets, order[:3]) == {0, 1, 2}
        digests = [
            sorted(
                range(30),
                key=lambda i, draw=draw, seed=seed: hashlib.sha256(
                    f'{seed}/{draw}/{names(30)[i]}'.encode()
                ).digest(),
            )
            for draw in range(64)
        ]
        fits = [one for one in digests if union(sets, one[:3]) == {0, 1, 2}]
        assert order == fits[0]


def test_cover_is_found_where_there_is_one() -> None:
    """Against all choices of so many images."""
    generator = random.Random(0)
    possible = 0
    for _ in range(300):
        labels = generator.randint(2, 7)
        sets = [
            frozenset(
                generator.sample(range(labels), generator.randint(1, min(3, labels)))
            )
            for _ in range(generator.randint(3, 9))
        ]
        wanted = set().union(*sets)
        for most in (1, 2, 3):
            exists = any(
                union(sets, choice) == wanted
                for choice in combinations(range(len(sets)), min(most, len(sets)))
            )
            chosen = cover(sets, most)
            assert len(chosen) <= most
            assert (union(sets, chosen) == wanted) == exists
            possible += exists
    assert possible > 100


def test_cover_greedy_fails_at() -> None:
    """The largest image leaves two classes that no single other one has."""
    sets = [frozenset(s) for s in ({0, 1, 2, 3}, {0, 1, 4}, {2, 3, 5})]
    assert sorted(cover(sets, 2)) == [1, 2]


def test_cover_that_is_not_there_is_greedy() -> None:
    sets = [frozenset(s) for s in ({5}, {0, 1, 2}, {2, 3}, {4})]
    assert cover(sets, 2)[0] == 1
    assert len(union(sets, cover(sets, 2))) == 4


@pytest.mark.parametrize(
    ('text', 'size'),
    [('5', 5), ('1/8', Fraction(1, 8)), ('0.05', Fraction(1, 20)), (' 12 ', 12)],
)
def test_sizes(text: str, size: object) -> None:
    assert parse_size(text) == size


def test_shares_are_rounded_to_the_nearest_number() -> None:
    sizes = resolve_sizes([Fraction(1, 4), Fraction(1, 8), 3, Fraction(1, 20)], 49)
    assert [tuple(size) for size in sizes] == [
        ('1-20', 2), ('3', 3), ('1-8', 6), ('1-4', 12),
    ]  # fmt: skip
