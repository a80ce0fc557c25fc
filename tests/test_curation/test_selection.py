"""Selections equal a plain formulation of Eq. 2-3, in any order and any batches."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from s5_mm.curation import rank_search, selection
from s5_mm.curation.mixing import mix64
from s5_mm.curation.quotas import POLICIES, fill_quotas, largest_remainder
from s5_mm.curation.ranking import STRATEGIES, Crops
from s5_mm.curation.selection import select


def plain_shares(total, weights):
    """Largest remainder in fractions."""
    exact = [Fraction(total * w, sum(weights)) for w in weights]
    shares = [int(e) for e in exact]
    for _ in range(total - sum(shares)):
        i = max(
            (i for i in range(len(exact)) if shares[i] == int(exact[i])),
            key=lambda i: (exact[i] - int(exact[i]), -i),
        )
        shares[i] += 1
    return shares


def plain_selection(crops, counts, number, strategy, policy, seed):
    """Keys that are chosen, by sorting Python lists."""
    rows = [
        (float(e), int(c), int(k))
        for e, c, k, may in zip(*crops[:3], crops.may_be_chosen(), strict=True)
        if may
    ]
    if strategy in ('s5', 'entropy_only'):
        rows.sort(key=lambda row: (row[0], row[2]))
    else:
        start = mix64(np.array([seed + 1], np.uint64))
        order = mix64(np.array([row[2] for row in rows], np.uint64) ^ start)
        rows = [rows[i] for i in np.argsort(order)]
    if strategy in ('random', 'entropy_only'):
        return {row[2] for row in rows[:number]}
    quotas = plain_shares(number, counts)
    chosen = set()
    for m, quota in enumerate(quotas):
        chosen |= {row[2] for row in [r for r in rows if r[1] == m][:quota]}
    while len(chosen) < number and policy == 'redistribute':
        left = [
            sum(r[1] == m and r[2] not in chosen for r in rows)
            for m in range(len(counts))
        ]
        weights = [n if spare else 0 for n, spare in zip(counts, left, strict=True)]
        for m, share in enumerate(plain_shares(number - len(chosen), weights)):
            own = [r for r in rows if r[1] == m and r[2] not in chosen]
            chosen |= {row[2] for row in own[:share]}
    if policy == 'best':
        rest = sorted(
            (r for r in rows if r[2] not in chosen), key=lambda r: (r[0], r[2])
        )
        chosen |= {row[2] for row in rest[: number - len(chosen)]}
    return chosen


def draw(rng, n=400, clusters=5, ties=False):
    """Crops with uneven clusters, gaps, equal entropies and zeros of both signs."""
    entropy = rng.choice([-0.0, 0.0, 1e-42, 0.5, 1.0], n) if ties else rng.random(n)
    entropy = entropy.astype(np.float32)
    entropy[rng.random(n) < 0.05] = np.nan
    cluster = rng.choice(clusters, n, p=[0.5, 0.3, 0.15, 0.04, 0.01]).astype(np.int16)
    cluster[rng.random(n) < 0.03] = -1
    key = mix64(rng.permutation(10 * n)[:n].astype(np.uint64))
    return Crops(entropy, cluster, key, rng.random(n) < 0.9)


def keys(chosen, crops):
    """Keys of what is chosen."""
    return set(crops.key[chosen(crops)].tolist())


CASES = list(itertools.product(STRATEGIES, ('redistribute', 'best'), (False, True)))


@pytest.mark.parametrize(('strategy', 'policy', 'ties'), CASES)
@pytest.mark.parametrize('passes', ['few', 'many'])
def test_equals_the_plain_formulation(strategy, policy, ties, passes, monkeypatch):
    if passes == 'many':  # digits of few bits, nothing collected before the last
        monkeypatch.setattr(rank_search, '_MAX_BINS', 64)
        monkeypatch.setattr(rank_search, '_MAX_COLLECTED', 0)
        monkeypatch.setattr(selection, '_STEP', 37)
    rng = np.random.default_rng(len(strategy) + 2 * ties)
    for trial in range(4):
        crops = draw(rng, ties=ties)
        counts = rng.integers(1, 50, 5).tolist()
        number = int(rng.integers(1, crops.may_be_chosen().sum() + 1))
        wanted = plain_selection(crops, counts, number, strategy, policy, trial)
        whole = select(partial(iter, [crops]), counts, number, strategy, policy, trial)
        assert keys(whole, crops) == wanted
        assert len(wanted) == number == whole.filled.sum()
        # Other order, other batches.
        order = rng.permutation(len(crops.key))
        parts = [Crops(*(c[i] for c in crops)) for i in np.array_split(order, 7)]
        again = select(partial(iter, parts), counts, number, strategy, policy, trial)
        assert set().union(*(keys(again, part) for part in parts)) == wanted
        assert again.report() == whole.report()


def test_the_report_counts():
    crops = draw(np.random.default_rng(0))
    counts = [10, 10, 10, 10, 60]
    chosen = select(lambda: [crops], counts, 200)
    mask, may = chosen(crops), crops.may_be_chosen()
    for m, row in enumerate(chosen.report()):
        own = mask & (crops.cluster == m)
        assert row['available'] == (may & (crops.cluster == m)).sum()
        assert row['filled'] == own.sum()
        assert row['redistributed'] == own.sum() - row['wanted']
        assert row['cut'] == crops.entropy[own].max()
    assert sum(row['wanted'] for row in chosen.report()) == 200


def test_excluded_crops_are_replaced_within_their_cluster():
    crops = draw(np.random.default_rng(1), n=2000)
    counts = [50, 30, 15, 4, 1]
    first = select(lambda: [crops], counts, 100)(crops)
    lost = first & (np.arange(2000) % 3 == 0)
    rest = crops._replace(eligible=crops.eligible & ~lost)
    second = select(lambda: [rest], counts, 100)(rest)
    assert (first & ~lost <= second).all()
    assert not (second & lost).any()
    for m in range(5):
        assert first[crops.cluster == m].sum() == second[crops.cluster == m].sum()


def test_leave_selects_fewer():
    crops = draw(np.random.default_rng(2))
    counts = [1, 1, 1, 1, 1]
    chosen = select(lambda: [crops], counts, 10_000, policy='leave')
    assert chosen.filled.sum() == crops.may_be_chosen().sum()
    chosen = select(lambda: [crops], counts, 300, policy='leave')
    assert chosen.filled.tolist() == np.minimum(60, chosen.available).tolist()


def test_seeds_draw_different_crops():
    crops = draw(np.random.default_rng(3), n=4000)
    drawn = [
        keys(select(lambda: [crops], [1] * 5, 400, 'random', seed=seed), crops)
        for seed in (0, 1)
    ]
    may = crops.may_be_chosen().sum()
    assert abs(len(drawn[0] & drawn[1]) - 400 * 400 / may) < 40


def test_quotas_sum_exactly():
    rng = np.random.default_rng(0)
    for _ in range(200):
        weights = rng.integers(0, 9, rng.integers(1, 9)).tolist()
        weights[0] += 1
        total = int(rng.integers(0, 100))
        shares = largest_remainder(total, weights)
        assert shares == plain_shares(total, weights)
        assert sum(shares) == total
    assert largest_remainder(10**12 + 1, [1, 1]) == [5 * 10**11 + 1, 5 * 10**11]


def test_errors():
    crops = draw(np.random.default_rng(4))
    may = int(crops.may_be_chosen().sum())

    def run(counts=(1, 1, 1, 1, 1), number=10, table=crops, **changes):
        select(lambda: [table], list(counts), number, **changes)

    for arguments, message in (
        (dict(number=may + 1), f'num_selected={may + 1}, but only {may} crops'),
        (dict(number=0), 'num_selected=0, expected at least 1'),
        (dict(counts=(1, 1, 0, 1, 1)), r'clusters \[2\] have no labelled crop'),
        (dict(counts=(1, 1)), 'has cluster 4, but there are 2 prototypes'),
        (dict(strategy='best'), "strategy='best', allowed are"),
        (dict(policy='first'), "policy='first', allowed are"),
        (
            dict(number=300, policy='error'),
            r'cluster \d has \d+ crops for a',
        ),
        (dict(table=crops._replace(entropy=crops.entropy - 2)), 'at least 0 nats'),
    ):
        with pytest.raises(ValueError, match=message):
            run(**arguments)
    twice = crops._replace(
        key=np.full_like(crops.key, 7), entropy=np.ones_like(crops.entropy)
    )
    with pytest.raises(ValueError, match='two crops have the same key'):
        run(table=twice)
    with pytest.raises(ValueError, match='weights='):
        largest_remainder(3, [0, 0])
    assert [fill_quotas(2, [1, 1], [5, 5], policy).filled for policy in POLICIES] == [
        [1, 1]
    ] * 4
