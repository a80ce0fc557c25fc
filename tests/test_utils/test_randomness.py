"""Draws are a function of (seed, source, position, view) alone."""

import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose

from s5_mm.utils import SampleKey, StreamIndex, View, sample_generator, seeded
from s5_mm.utils.randomness import keyed, seeded_for


def _draws(key, view):
    return sample_generator(key, view).integers(0, 2**62, size=8).tolist()


def test_same_key_same_draws_whatever_happened_before():
    key = SampleKey(7, 1, 123456789)
    first = _draws(key, View.STRONG)
    np.random.rand(5)
    _draws(SampleKey(7, 1, 5), View.STRONG)
    assert _draws(key, View.STRONG) == first


@pytest.mark.parametrize(
    ('other', 'view'),
    [
        (SampleKey(8, 1, 10), View.GEOMETRY),
        (SampleKey(7, 2, 10), View.GEOMETRY),
        (SampleKey(7, 1, 11), View.GEOMETRY),
        (SampleKey(7, 1, 10), View.CUTMIX),
    ],
)
def test_each_part_of_the_key_changes_all_draws(other, view):
    base = _draws(SampleKey(7, 1, 10), View.GEOMETRY)
    assert not set(base) & set(_draws(other, view))


def test_views_do_not_overlap_in_long_streams():
    a = sample_generator(SampleKey(0, 0, 0), 0).random(10_000)
    b = sample_generator(SampleKey(0, 0, 1), 0).random(10_000)
    assert not np.intersect1d(a, b).size
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05


def test_stream_index_is_an_int_that_survives_pickling():
    index = StreamIndex(42, SampleKey(1, 2, 3))
    copy = pickle.loads(pickle.dumps(index))
    assert copy == 42
    assert isinstance(copy, int)
    assert [10, 11][StreamIndex(1, SampleKey(0, 0, 0))] == 11
    assert copy.key == SampleKey(1, 2, 3)


def _global_draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seeded_fixes_all_global_generators_and_restores_them():
    key = SampleKey(3, 0, 9)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected_after = _global_draws()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    with seeded(key, View.GEOMETRY):
        inside = _global_draws()
    assert _global_draws() == expected_after
    with seeded(key, View.GEOMETRY):
        assert _global_draws() == inside
    with seeded(key._replace(position=10), View.GEOMETRY):
        assert not set(_global_draws()) & set(inside)


def test_seeded_restores_after_an_error():
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    with pytest.raises(RuntimeError), seeded(SampleKey(0, 0, 0), 0):
        raise RuntimeError
    assert np.random.rand() == expected


@keyed
class _Keyed:
    """Stands for a transform that draws nothing."""

    def __call__(self, results):
        return results


class _Child(_Keyed):
    """May draw, as far as anybody knows."""


@pytest.mark.parametrize(
    ('pipeline', 'needed'),
    [
        (Compose([_Keyed(), _Keyed()]), False),
        (Compose([_Keyed(), _Child()]), True),
        (Compose([_Keyed(), Compose([_Keyed()])]), True),
        (lambda results: results, True),
    ],
)
def test_generators_are_seeded_where_a_transform_may_draw(pipeline, needed):
    key = SampleKey(3, 0, 9)
    with seeded(key, View.GEOMETRY):
        of_the_sample = _global_draws()
    with seeded_for(pipeline, key, View.GEOMETRY):
        assert (_global_draws() == of_the_sample) == needed
