"""Quotas are exact, sum to what is asked for, and settle dry clusters by name."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from s5_mm.curation.selection.quotas import fill_quotas, share_exactly
from s5_mm.io.crop_tables.run_names import QUOTA_POLICIES

from .plain_selection import shares


def test_shares_equal_fractions():
    rng = np.random.default_rng(0)
    for _ in range(300):
        weights = rng.integers(0, 9, rng.integers(1, 9)).tolist()
        weights[int(rng.integers(len(weights)))] += 1
        total = int(rng.integers(0, 100))
        given = share_exactly(total, weights)
        assert given == shares(total, weights)
        assert sum(given) == total
        for share, weight in zip(given, weights, strict=True):
            assert abs(share - Fraction(total * weight, sum(weights))) < 1
            assert weight or not share


def test_equal_remainders_go_to_the_first_clusters():
    assert share_exactly(5, [1, 1, 1]) == [2, 2, 1]
    assert share_exactly(1, [2, 2, 2]) == [1, 0, 0]


def test_shares_are_exact_beyond_floating_point():
    assert share_exactly(10**12 + 1, [1, 1]) == [5 * 10**11 + 1, 5 * 10**11]
    counts = np.array([3 * 10**8, 10**8], np.int64)  # the products overflow 64 bits
    assert share_exactly(4 * 10**12, counts) == [3 * 10**12, 10**12]
    number = np.int64(4 * 10**12)
    assert fill_quotas(number, counts, [number, number]).wanted[0] == 3 * 10**12


def test_the_paper_s_size():
    counts = np.random.default_rng(1).multinomial(38_936, np.full(100, 0.01))
    wanted = fill_quotas(1_000_000, counts, [10**6] * 100).wanted
    assert sum(wanted) == 1_000_000
    exact = [Fraction(1_000_000 * int(count), 38_936) for count in counts]
    assert max(abs(w - e) for w, e in zip(wanted, exact, strict=True)) < 1


def level(total: int, counts: list[int], available: list[int]) -> list[Fraction]:
    """Fill all clusters to one level per labelled crop, which few can reach."""
    dry: set[int] = set()
    while True:
        rest = total - sum(available[m] for m in dry)
        weight = sum(count for m, count in enumerate(counts) if m not in dry)
        height = Fraction(rest, weight) if weight else Fraction(0)
        more = {m for m, n in enumerate(available) if n < height * counts[m]} - dry
        if not more:
            return [
                Fraction(n) if m in dry else height * counts[m]
                for m, n in enumerate(available)
            ]
        dry |= more


def test_redistribution_fills_the_others_to_one_level():
    rng = np.random.default_rng(2)
    dried = 0
    for _ in range(300):
        size = int(rng.integers(1, 9))
        counts = rng.integers(1, 40, size).tolist()
        available = (rng.integers(0, 400, size) * (rng.random(size) < 0.8)).tolist()
        if not sum(available):
            continue
        total = int(rng.integers(1, sum(available) + 1))
        quotas = fill_quotas(total, counts, available)
        assert sum(quotas.filled) == sum(quotas.wanted) == total
        assert quotas.rest == 0
        wanted = level(total, counts, available)
        for m, filled in enumerate(quotas.filled):
            assert 0 <= filled <= available[m]
            assert filled >= min(quotas.wanted[m], available[m])
            assert abs(filled - wanted[m]) <= size  # less than 1 for every round
        dried += quotas.filled != quotas.wanted
    assert dried > 100


def test_policies_differ_where_a_cluster_runs_dry():
    counts, available = [2, 1, 1], [10, 1, 100]
    assert fill_quotas(40, counts, available) == ([20, 10, 10], [10, 1, 29], 0)
    assert fill_quotas(40, counts, available, 'best') == (
        *([20, 10, 10], [10, 1, 10]),
        19,
    )
    assert fill_quotas(40, counts, available, 'leave') == (
        *([20, 10, 10], [10, 1, 10]),
        0,
    )


def test_policies_agree_where_none_does():
    for policy in QUOTA_POLICIES:
        assert fill_quotas(2, [1, 1], [5, 1], policy) == ([1, 1], [1, 1], 0)


def test_a_quota_of_none_may_be_raised():
    assert fill_quotas(3, [10**6, 1], [1, 5]) == ([3, 0], [1, 2], 0)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((1, [1], [1], 'all'), r"selection.policy='all', allowed are 'redis"),
        ((0, [1], [1]), 'selection.num_selected=0, expected a whole number'),
        ((1e6, [1], [1]), 'selection.num_selected=1000000.0, expected a whole'),
        ((1, [1, 1], [1]), '^2 clusters have counts of labelled crops and 1 have'),
        ((1, [1, 0, 0], [1, 1, 1]), r'clusters \[1, 2\] have no labelled crop'),
        ((4, [1, 1], [1, 2]), 'num_selected=4, but only 3 crops may be chosen'),
        ((4, [1, 1], [1, 2], 'best'), 'num_selected=4, but only 3 crops'),
        (
            (4, [1, 2, 1], [9, 1, 0], 'error'),
            'cluster 1 has 1 crops for a quota of 2, and 1 others run dry',
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        fill_quotas(*arguments)


def test_weights_are_checked():
    for weights in ([], [0, 0], [2, -1]):
        with pytest.raises(ValueError, match='expected numbers >= 0, not all of them'):
            share_exactly(3, weights)
