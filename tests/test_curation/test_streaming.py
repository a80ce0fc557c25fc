"""A table that is passed over in batches gives what the whole one gives, unheld."""

from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest

from s5_mm.curation.selection import rank_search, streaming
from s5_mm.curation.selection.ranking import STRATEGIES, Crops
from s5_mm.curation.selection.selection import select
from s5_mm.curation.selection.streaming import Passes

from .plain_selection import draw_crops

COUNTS = [30, 30, 20, 10, 10]


def take(crops: Crops, rows: np.ndarray | slice) -> Crops:
    """Some rows of a table, in memory of their own."""
    return Crops(*(np.array(column[rows]) for column in crops))


def split(crops: Crops, sizes: np.ndarray) -> list[Crops]:
    """A table in batches of some sizes, 0 among them."""
    ends = np.cumsum(sizes)
    return [take(crops, slice(*ends[i : i + 2])) for i in range(len(ends) - 1)]


CASES = list(itertools.product(STRATEGIES, ('redistribute', 'best', 'leave')))


@pytest.mark.parametrize(('strategy', 'policy'), CASES)
@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize(('bins', 'collected'), [(64, 0), (2**8, 40), (2**20, 2**22)])
def test_batches_do_not_matter(
    strategy, policy, ties, bins, collected, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(5)
    crops = draw_crops(rng, 700, ties=ties)
    arguments = (COUNTS, 250, strategy, policy, 3)
    whole = select(lambda: [crops], *arguments)
    mask = whole(crops)
    assert mask.sum() == whole.filled.sum() > 0
    monkeypatch.setattr(rank_search, '_MAX_BINS', bins)
    monkeypatch.setattr(rank_search, '_MAX_COLLECTED', collected)
    monkeypatch.setattr(streaming, '_STEP', 50)
    sizes = np.concatenate([[0], rng.multinomial(700, np.full(9, 1 / 9)), [0, 0]])
    parts = split(crops, sizes)
    again = select(lambda: iter(parts), *arguments)
    np.testing.assert_array_equal(np.concatenate([again(part) for part in parts]), mask)
    assert again.report() == whole.report()


def test_batches_are_not_held():
    crops = draw_crops(np.random.default_rng(6), 600)
    alive: list[weakref.ref] = []
    most = 0

    def tables():
        nonlocal most
        for start in range(0, 600, 20):
            part = take(crops, slice(start, start + 20))
            alive[:] = [ref for ref in alive if ref() is not None]
            alive.append(weakref.ref(part.entropy))
            most = max(most, len(alive))
            yield part

    select(tables, COUNTS, 200, policy='best')
    # The one of the loop above, and the one that is being made.
    assert most <= 2


def test_few_passes_are_made():
    crops = draw_crops(np.random.default_rng(7))
    passes = 0

    def tables():
        nonlocal passes
        passes += 1
        return iter([crops])

    select(tables, [1] * 5, 50, 'entropy_only')
    assert passes == 3  # count, collect, report


def test_a_table_that_changes_is_refused():
    crops = draw_crops(np.random.default_rng(8))
    number = crops.may_be_chosen().sum()
    once = iter([crops])
    with pytest.raises(ValueError, match=f'gave 0 crops .* the first one {number};'):
        select(lambda: once, COUNTS, 50)
    grows = itertools.count(1)
    with pytest.raises(ValueError, match=f'gave {2 * number} crops .* first one'):
        select(lambda: [crops] * next(grows), COUNTS, 50)


def test_columns_of_one_length_are_asked_for():
    crops = draw_crops(np.random.default_rng(9))
    with pytest.raises(ValueError, match="lengths {'entropy': 300, .*'eligible': 7}"):
        list(Passes(lambda: [crops._replace(eligible=crops.eligible[:7])], 5))


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
        select(lambda: [crops], COUNTS, 50, strategy)
    # A crop that may not be chosen is not looked at.
    eligible = np.arange(len(crops.key)) != row
    select(lambda: [crops._replace(eligible=eligible)], COUNTS, 50, strategy)


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
        select(lambda: [crops], [1, 1], 1, policy=policy)
