"""What training scripts store next to the weights is read as data, and never called."""

import argparse
import collections
import pathlib
import sys
import types

import addict
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from torch.torch_version import TorchVersion

from s5_mm.checkpoints import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    load_data_only,
)
from s5_mm.checkpoints.stand_ins import Reference, stand_ins

from .test_safe_load import WRITERS, Call


def _through_a_file(value, path, writer='zip'):
    WRITERS[writer]({'value': value}, path)
    return load_data_only(path)['value']


@pytest.mark.parametrize('writer', ['zip', 'legacy'])
@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (pathlib.Path('/runs/a'), '/runs/a'),
        (pathlib.PureWindowsPath('runs/a'), 'runs/a'),
        (collections.deque([1, 2], 3), [1, 2]),
        (collections.defaultdict(list, a=[1]), {'a': [1]}),
        (ConfigDict(a=dict(b=1)), {'a': {'b': 1}}),
        (Config(dict(a=dict(b=1))), {'a': {'b': 1}}),
        (addict.Dict(a=dict(items=1)), {'a': {'items': 1}}),
        (argparse.Namespace(lr=np.float64(0.1)), argparse.Namespace(lr=0.1)),
        (slice(1, 2), slice(1, 2)),
        (frozenset([1]), frozenset([1])),
        (TorchVersion('2.1'), '2.1'),
        ((np.bool_(True), [np.str_('ab')]), (True, ['ab'])),
        (np.array(['a', None], object), ['a', None]),
        (np.array([pathlib.Path('a'), {'b': np.int8(1)}], object), ['a', {'b': 1}]),
    ],
)
def test_inert_classes_become_plain(tmp_path, writer, value, expected):
    found = _through_a_file(value, tmp_path / 'a.pth', writer)
    assert found == expected
    assert isinstance(found, type(expected))


@pytest.mark.parametrize(
    'array',
    [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(3, dtype='>i2'),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(['field', 'road']),
        np.array([b'ab']),
        np.zeros((0, 3)),
        np.array(2.5),
    ],
)
def test_arrays_come_back_and_may_be_changed(tmp_path, array):
    found = _through_a_file([array], tmp_path / 'a.pth')[0]
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.flags.f_contiguous == array.flags.f_contiguous
    np.testing.assert_array_equal(found, array)
    found[...] = array  # not the bytes of the file


@pytest.mark.parametrize('number', [np.float16(0.1), np.int8(-3), np.complex64(1j)])
def test_scalars_come_back(tmp_path, number):
    found = _through_a_file(number, tmp_path / 'a.pth')
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize('values', [[], [0.1, 0.2, 0.7]])
def test_history_goes_on_as_if_never_saved(tmp_path, values):
    history = HistoryBuffer(values, [1] * len(values), max_length=4)
    found = _through_a_file({'loss': history}, tmp_path / 'a.pth')['loss']
    assert type(found) is HistoryBuffer
    for value in (0.3, 1e-9):
        history.update(value)
        found.update(value)
    for ours, theirs in zip(found.data, history.data, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert found.statistics('mean', 2) == history.statistics('mean', 2)
    assert found.max_length == 4


def test_a_config_of_yacs_becomes_a_dict(tmp_path, monkeypatch):
    """GFM's script keeps one: a dict with its state in attributes."""
    node = type('CfgNode', (dict,), {'__module__': 'yacs.config'})
    for name in ('yacs', 'yacs.config'):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules['yacs.config'].CfgNode = node
    config = node(MODEL=node(TYPE='swin'))
    config.__dict__['__immutable__'] = True
    torch.save({'config': config, 'model': {'w': torch.ones(2)}}, tmp_path / 'g.pth')
    monkeypatch.undo()
    found = load_data_only(tmp_path / 'g.pth')
    assert found['config'] == {'MODEL': {'TYPE': 'swin'}}
    assert torch.equal(found['model']['w'], torch.ones(2))


def test_arrays_in_an_array_of_objects(tmp_path):
    inner = np.arange(3)
    found = _through_a_file(np.array([inner, None], object), tmp_path / 'a.pth')
    assert found[1] is None
    np.testing.assert_array_equal(found[0], inner)


def test_what_is_shared_stays_shared(tmp_path):
    array = np.arange(3)
    items = [array]
    items.append(items)
    found = _through_a_file([items, {'x': array}], tmp_path / 'a.pth')
    assert found[0][1] is found[0]
    assert found[0][0] is found[1]['x']


def test_getattr_is_not_called(tmp_path):
    path = tmp_path / 'a.pth'
    found = _through_a_file(Call(getattr, HistoryBuffer, 'min'), path)
    assert isinstance(found, Reference)
    assert repr(found) == '<not read: a method>'
    # Nor is what it would have returned.
    torch.save({'w': torch.ones(2), 'x': Call(_Method(getattr, list, 'copy'))}, path)
    with pytest.raises(
        UnsafeCheckpointError,
        match='Trying to call reduce for unrecognized function <not read: a method>',
    ):
        load_data_only(path)


class _Method(Call):
    """A call whose result is called in the pickle; pickle asks for a callable."""

    def __call__(self):
        raise AssertionError('called')


def test_attributes_of_a_file_do_not_hide_methods(tmp_path):
    state = collections.OrderedDict(w=torch.ones(2))
    state._metadata = collections.OrderedDict(version=1)
    state.values = 'hidden'
    found = _through_a_file(state, tmp_path / 'a.pth')
    assert len(list(found.values())) == 1
    assert found._metadata == {'version': 1}


@pytest.mark.parametrize(
    ('value', 'name'),
    [
        (np.datetime64('2020-01-01'), 'numpy scalar of M8'),
        (np.zeros(2, 'M8[D]'), 'numpy array of M8'),
        (np.zeros(2, [('a', 'f4')]), 'numpy array of V4'),
    ],
)
def test_other_numpy_types_do_not_stop_the_reading(tmp_path, value, name):
    found = _through_a_file(value, tmp_path / 'a.pth')
    assert isinstance(found, Reference)
    assert found.name == name


class _FalseArray:
    """Pickles as a numpy array of two numbers with the bytes of one."""

    def __reduce__(self):
        function, arguments, state = np.zeros(2).__reduce__()
        return function, arguments, (*state[:4], state[4][:8])


class _FalseScalar:
    def __reduce__(self):
        function, (dtype, data) = np.float64(1).__reduce__()
        return function, (dtype, data[:4])


def _false_history():
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    history._count_history = np.ones(1)
    return history


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        (_FalseArray(), r'a numpy array of \(2,\) float64 has 8 bytes of data'),
        (_FalseScalar(), 'a numpy float64 has 4 bytes of data'),
        (_false_history(), 'a history of mmengine has as many values as counts'),
    ],
)
def test_data_that_contradict_themselves_are_damage(tmp_path, value, reason):
    with pytest.raises(DamagedCheckpointError, match=reason):
        _through_a_file(value, tmp_path / 'a.pth')


def test_what_others_allow_torch_stays_except_for_our_names(tmp_path):
    class Own:
        pass

    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([getattr, Own])
    try:
        with stand_ins():
            allowed = torch.serialization.get_safe_globals()
            assert Own in allowed
            assert getattr not in allowed
        assert set(torch.serialization.get_safe_globals()) == {*before, getattr, Own}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
