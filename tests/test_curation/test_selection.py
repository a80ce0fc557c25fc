"""Selections equal a plain formulation of Eq. 2-3, in any order of the rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from s5_mm.curation.selection.ranking import STRATEGIES, Crops
from s5_mm.curation.selection.selection import select

from .plain_selection import draw_crops, select_plainly

TABLE = dict(counts=[1, 1, 1, 1, 1], num_selected=10)
CASES = list(
    itertools.product(STRATEGIES, ('redistribute', 'best', 'leave'), (False, True))
)


@pytest.mark.parametrize(('strategy', 'policy', 'ties'), CASES)
def test_equals_the_plain_formulation(strategy, policy, ties):
    rng = np.random.default_rng(len(strategy) + 2 * ties)
    for trial in range(6):
        crops = draw_crops(rng, clusters=int(rng.integers(1, 6)), ties=ties)
        available = int(crops.may_be_chosen().sum())
        counts = rng.integers(1, 50, 5).tolist()
        number = (1, available)[trial] if trial < 2 else int(rng.integers(2, available))
        wanted = select_plainly(crops, counts, number, strategy, policy, trial)
        whole = select(crops, counts, number, strategy, policy, trial)
        assert set(whole.ids.tolist()) == wanted
        np.testing.assert_array_equal(crops.key[whole.chosen], whole.ids)
        assert len(wanted) == whole.filled.sum()
        assert len(wanted) == number or policy == 'leave'
        order = rng.permutation(len(crops.key))
        shuffled = Crops(*(column[order] for column in crops))
        again = select(shuffled, counts, number, strategy, policy, trial)
        np.testing.assert_array_equal(again.chosen, whole.chosen[order])
        assert again.report() == whole.report()


def test_zeros_of_both_signs_are_equal_and_denormals_are_not():
    entropy = np.array([1e-45, -0.0, 0.0, -0.0, 3e-45], np.float32)
    crops = Crops(entropy, np.zeros(5, np.int16), np.array([0, 4, 1, 3, 2], np.uint64))
    taken = [select(crops, [1], n).chosen.tolist() for n in range(1, 6)]
    assert np.argsort(5 - np.sum(taken, 0)).tolist() == [2, 3, 1, 0, 4]


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_what_is_not_eligible_might_as_well_not_be_there(strategy):
    crops = draw_crops(np.random.default_rng(11))
    rows = np.flatnonzero(crops.may_be_chosen())
    alone = Crops(*(column[rows] for column in crops[:3]))
    marked = select(crops, [3, 1, 1, 1, 1], 120, strategy, 'best', 9)
    fewer = select(alone, [3, 1, 1, 1, 1], 120, strategy, 'best', 9)
    assert np.flatnonzero(marked.chosen).tolist() == rows[fewer.chosen].tolist()
    assert marked.report() == fewer.report()


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_the_report_counts(strategy):
    crops = draw_crops(np.random.default_rng(0))
    counts = [10, 10, 10, 2000, 1]
    chosen = select(crops, counts, 200, strategy)
    mask, may = chosen.chosen, crops.may_be_chosen()
    quotas = STRATEGIES[strategy].quotas
    for m, row in enumerate(chosen.report()):
        own = mask & (crops.cluster == m)
        assert row['cluster'] == m
        assert row['available'] == (may & (crops.cluster == m)).sum()
        assert row['filled'] == own.sum()
        assert row['redistributed'] == (own.sum() - row['wanted'] if quotas else 0)
        cut = crops.entropy[own].max() if own.any() else None
        assert row['cut'] == cut
    if quotas:
        assert sum(row['wanted'] for row in chosen.report()) == 200
        # A quota of 0 that gets some of the rest.
        last = chosen.report()[4]
        assert last['wanted'] == 0 < last['redistributed']
    else:
        assert {row['wanted'] for row in chosen.report()} == {None}


def test_excluded_crops_are_replaced_within_their_cluster():
    crops = draw_crops(np.random.default_rng(1), n=2000)
    counts = [50, 30, 15, 4, 1]
    first = select(crops, counts, 100).chosen
    lost = first & (np.arange(2000) % 3 == 0)
    rest = crops._replace(eligible=crops.eligible & ~lost)
    second = select(rest, counts, 100).chosen
    assert (first & ~lost <= second).all()
    assert not (second & lost).any()
    for m in range(5):
        assert first[crops.cluster == m].sum() == second[crops.cluster == m].sum()


def test_leave_selects_fewer():
    crops = draw_crops(np.random.default_rng(2))
    counts = [1, 1, 1, 1, 1]
    chosen = select(crops, counts, 10_000, policy='leave')
    assert chosen.filled.sum() == crops.may_be_chosen().sum()
    chosen = select(crops, counts, 300, policy='leave')
    assert chosen.filled.tolist() == np.minimum(60, chosen.available).tolist()


def test_seeds_draw_different_crops():
    crops = draw_crops(np.random.default_rng(3), n=4000)
    drawn = [
        set(select(crops, [1] * 5, 400, 'random', seed=seed).ids.tolist())
        for seed in (0, 1)
    ]
    may = crops.may_be_chosen().sum()
    assert abs(len(drawn[0] & drawn[1]) - 400 * 400 / may) < 40


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_selected=301), r'num_selected=301, but only \d+ crops may be chosen'),
        (dict(num_selected=0), 'num_selected=0, expected a whole number'),
        (dict(counts=[1, 1, 0, 1, 1]), r'clusters \[2\] have no labelled crop'),
        (dict(counts=[1, 1]), 'has cluster 4, but there are 2 prototypes'),
        (dict(strategy='best'), r"strategy='best', allowed are 's5', "),
        (dict(policy='first'), "policy='first', allowed are"),
        (dict(num_selected=200, policy='error'), r'cluster \d has \d+ crops for a quo'),
        (dict(strategy='random', seed=-1), 'selection.seed=-1, expected a whole numb'),
        (dict(strategy='random', seed=2**64), r'seed=1844\d+, expected a whole'),
        (dict(strategy='diversity_only', seed=0.5), 'selection.seed=0.5, expected'),
    ],
)
def test_errors(arguments, message):
    crops = draw_crops(np.random.default_rng(4))
    with pytest.raises(ValueError, match=message):
        select(**{**TABLE, 'crops': crops, **arguments})


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_keys_that_no_cut_can_part_are_refused(strategy):
    crops = draw_crops(np.random.default_rng(12))
    crops.key[:] = 7
    crops.entropy[:] = 1
    with pytest.raises(
        ValueError, match='two crops have the key 7, expected each once'
    ):
        select(crops, [1] * 5, 10, strategy)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'entropy': -1e-30}, r'^crop 77 has the entropy -1\.0\d*e-30, expected a'),
        ({'entropy': np.inf}, '^crop 77 has the entropy inf, expected a finite'),
        ({'entropy': -np.inf}, '^crop 77 has the entropy -inf'),
        ({'cluster': 5}, '^crop 77 has cluster 5, but there are 5 prototypes'),
    ],
)
@pytest.mark.parametrize('strategy', STRATEGIES)
def test_numbers_are_checked(changes, message, strategy):
    crops = draw_crops(np.random.default_rng(10))._replace(eligible=None)
    row = int(np.flatnonzero(crops.may_be_chosen())[40])
    crops.key[row] = 77
    for name, value in changes.items():
        getattr(crops, name)[row] = value
    with pytest.raises(ValueError, match=message):
        select(crops, [1] * 5, 50, strategy)
    # A crop that may not be chosen is not looked at.
    eligible = np.arange(len(crops.key)) != row
    select(crops._replace(eligible=eligible), [1] * 5, 50, strategy)


@pytest.mark.parametrize('policy', ['redistribute', 'leave'])
def test_the_reasons_are_named_where_nothing_may_be_chosen(policy):
    crops = Crops(
        np.array([np.nan, np.nan, np.nan, 1, 1, 1, 1], np.float32),
        np.array([-1, 0, 1, -1, 0, 0, 0], np.int16),
        np.arange(7, dtype=np.uint64),
        np.array([1, 1, 1, 1, 0, 0, 0], bool),
    )
    message = 'of 7 crops, 2 have no cluster, 2 have a cluster but NaN .*, 3 are excl'
    with pytest.raises(ValueError, match=message):
        select(crops, [1, 1], 1, policy=policy)
