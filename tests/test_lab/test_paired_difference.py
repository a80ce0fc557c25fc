"""Student's t against scipy and printed tables."""

import math

import numpy as np
import pytest
from scipy import stats

from s5_mm.lab import paired_difference, t_quantile


@pytest.mark.parametrize('degrees', [1, 2, 3, 4, 5, 6, 7, 10, 31, 200])
def test_quantiles(degrees):
    probabilities = [0.001, 0.025, 0.3, 0.5, 0.6, 0.9, 0.975, 0.995, 0.9995]
    ours = [t_quantile(probability, degrees) for probability in probabilities]
    np.testing.assert_allclose(
        ours, stats.t.ppf(probabilities, degrees), rtol=1e-9, atol=1e-12
    )


def test_quantiles_of_a_printed_table():
    # Two-sided 95 %: 12.706, 4.303, 3.182, 2.776 for 1 to 4 degrees of freedom.
    found = [round(t_quantile(0.975, degrees), 3) for degrees in (1, 2, 3, 4)]
    assert found == [12.706, 4.303, 3.182, 2.776]


@pytest.mark.parametrize('level', [0.5, 0.95, 0.99])
@pytest.mark.parametrize('count', [2, 3, 5, 8])
def test_interval(count, level):
    draws = np.random.default_rng(count)
    theirs = draws.normal(60, 5, count)
    ours = theirs + draws.normal(2, 3, count)
    found = paired_difference(ours.tolist(), theirs.tolist(), level)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(level)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-9)
    np.testing.assert_allclose(found.differences, ours - theirs)
    assert found.mean == pytest.approx(np.mean(ours - theirs))
    assert found.std == pytest.approx(np.std(ours - theirs, ddof=1))
    assert found.positive == np.sum(ours > theirs)


def test_equal_differences_have_an_interval_without_width():
    found = paired_difference([3.0, 5.0], [1.0, 3.0])
    assert found == ((2.0, 2.0), 2.0, 0.0, 2.0, 2.0)
    assert paired_difference([1.0, 1.0], [1.0, 2.0]).positive == 0


def test_one_pair_has_no_interval():
    assert paired_difference([3.0], [1.0]) == ((2.0,), 2.0, None, None, None)


@pytest.mark.parametrize('level', [0.0, 1.0, 95.0, math.nan])
def test_level_out_of_range(level):
    with pytest.raises(ValueError, match=f'level={level:g}, expected a probability'):
        paired_difference([1.0, 2.0], [0.0, 0.0], level)


@pytest.mark.parametrize(('ours', 'theirs'), [([], []), ([1.0], [1.0, 2.0])])
def test_no_pairs(ours, theirs):
    found = f'{len(ours)} and {len(theirs)} figures, expected pairs'
    with pytest.raises(ValueError, match=found):
        paired_difference(ours, theirs)


def test_quantile_out_of_range():
    with pytest.raises(ValueError, match='probability=1, expected it in'):
        t_quantile(1.0, 3)
    with pytest.raises(ValueError, match='degrees=0, expected at least 1'):
        t_quantile(0.9, 0)
