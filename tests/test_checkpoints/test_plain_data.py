import enum
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from s5_mm.checkpoints import from_plain, load_data_only, to_plain


class Colour(enum.IntEnum):
    RED = 3


def _through_a_file(value, path):
    torch.save({'value': to_plain(value)}, path)
    return from_plain(load_data_only(path)['value'])


@pytest.mark.parametrize(
    'value',
    [
        None,
        True,
        7,
        1.5,
        'text',
        b'bytes',
        (1, [2, (3,)]),
        {'a': 1, 2: {'b': ()}},
        {1, 2},
        float('inf'),
    ],
)
def test_builtin_types_come_back(tmp_path, value):
    back = _through_a_file(value, tmp_path / 'a.pth')
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    'array',
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.array([0.1, np.nan]),
        np.array([True, False]),
        np.zeros((0, 3), np.float32),
        np.array(['field', 'road']),
        np.arange(6).reshape(2, 3).T[::-1],
    ],
)
def test_arrays_come_back(tmp_path, array):
    back = _through_a_file({'x': [array]}, tmp_path / 'a.pth')['x'][0]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_other_classes_become_builtin(tmp_path):
    value = OrderedDict(a=np.float64(0.1), b=Colour.RED, c=Path('x/y'), d=np.int64(4))
    back = _through_a_file(value, tmp_path / 'a.pth')
    assert back == {'a': 0.1, 'b': 3, 'c': 'x/y', 'd': 4}
    assert [type(item) for item in back.values()] == [float, int, str, int]


@pytest.mark.parametrize('counts', [[1, 1, 1], [1, 2, 1]])
def test_history_goes_on_as_if_never_saved(tmp_path, counts):
    history = HistoryBuffer([0.1, 0.2, 0.7], counts, max_length=4)
    back = _through_a_file({'loss': history}, tmp_path / 'a.pth')['loss']
    for value in (0.3, 1e-9):
        history.update(value)
        back.update(value)
    for ours, theirs in zip(back.data, history.data, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    assert back.mean(2) == history.mean(2)
    assert back.max_length == 4


def test_constant_counts_are_stored_once(tmp_path):
    torch.save(to_plain(HistoryBuffer(np.ones(10**5), np.ones(10**5))), tmp_path / 'a')
    assert (tmp_path / 'a').stat().st_size < 0.85e6  # values alone are 0.8 MB


def test_what_is_no_data_is_dropped_and_named():
    dropped = []
    plain = to_plain(
        {'keep': 1, 'fn': print, 'deep': {'x': [object()]}},
        lambda name, value: dropped.append(name),
        'hub',
    )
    assert plain == {'keep': 1, 'deep': {'x': [None]}}
    assert dropped == ['hub.fn', 'hub.deep.x[0]']
