"""Which samples belong to which data set, and what cannot be told apart."""

import random
from itertools import groupby, product

import pytest
from mmengine.model import ModuleDict
from mmseg.structures import SegDataSample
from torch import nn

from s5_mm.utils.routing import (
    DatasetSlice,
    RoutingError,
    check_dataset_names,
    contiguous_slices,
    dataset_names,
    order_by_dataset,
)


def _sample(**metainfo):
    return SegDataSample(metainfo=metainfo)


# -- slices ---------------------------------------------------------------------------
@pytest.mark.parametrize('length', range(6))
def test_slices_are_the_runs_of_equal_names(length):
    """Every batch of up to five samples of three data sets."""
    refused = 0
    for names in product('abc', repeat=length):
        runs = [(name, len(list(run))) for name, run in groupby(names)]
        if len({name for name, _ in runs}) < len(runs):
            refused += 1
            with pytest.raises(RoutingError, match='not contiguous by data set'):
                contiguous_slices(names)
            continue
        slices = contiguous_slices(names)
        assert [(part.name, part.stop - part.start) for part in slices] == runs
        for part in slices:
            assert set(names[part.start : part.stop]) == {part.name}
        edges = [0, *(part.stop for part in slices)]
        assert [part.start for part in slices] == edges[:-1]
        assert edges[-1] == length
    assert bool(refused) == (length >= 3)


def test_slices_are_named():
    assert contiguous_slices(['b', 'b', 'a']) == (
        DatasetSlice(name='b', start=0, stop=2),
        DatasetSlice(name='a', start=2, stop=3),
    )
    assert contiguous_slices([]) == ()


def test_names_that_come_back_are_named():
    message = r"not contiguous by data set: \['a', 'b', 'a'\]; sort them first"
    with pytest.raises(RoutingError, match=message):
        contiguous_slices(['a', 'a', 'b', 'a'])


# -- order ----------------------------------------------------------------------------
def test_order_keeps_data_sets_and_samples_in_their_order():
    assert order_by_dataset('cabcab') == [0, 3, 1, 4, 2, 5]
    assert order_by_dataset([]) == []
    draw = random.Random(0)
    for _ in range(50):
        names = draw.choices(['z', 'a', 'm', 'b'], k=draw.randint(1, 12))
        order = order_by_dataset(names)
        slow = []
        for name in names:
            slow += [i for i, n in enumerate(names) if n == name and i not in slow]
        assert order == slow
        parts = contiguous_slices([names[index] for index in order])
        assert {part.name for part in parts} == set(names)


# -- names of samples -----------------------------------------------------------------
def test_names_of_samples():
    samples = [_sample(dataset_name=name) for name in ('b', 'a', 'b')]
    assert dataset_names(samples, ('a', 'b')) == ['b', 'a', 'b']
    assert dataset_names(iter(samples), ['a', 'b', 'c']) == ['b', 'a', 'b']
    assert dataset_names([], ('a',)) == []


def test_the_only_data_set_needs_no_name():
    samples = [_sample(), _sample(dataset_name='a'), _sample(dataset_name=None)]
    assert dataset_names(samples, ('a',)) == ['a', 'a', 'a']


@pytest.mark.parametrize(
    ('metainfo', 'allowed', 'message'),
    [
        (
            dict(img_path='x/1.png'),
            ('a', 'b'),
            r"x/1\.png names no data set \(dataset_name\), this model has \['a', 'b'\]",
        ),
        (
            dict(img_path='x/1.png', dataset_name='c'),
            ('a', 'b'),
            r"x/1\.png names the data set 'c' \(dataset_name\), this model has "
            r"\['a', 'b'\]",
        ),
        (
            dict(dataset_name='c'),
            ('a',),
            r"a sample names the data set 'c' \(dataset_name\), this model has "
            r"\['a'\]",
        ),
        (dict(), (), r'a sample names no data set \(dataset_name\), .* has \[\]'),
    ],
)
def test_samples_of_nobody_are_refused(metainfo, allowed, message):
    with pytest.raises(RoutingError, match=message):
        dataset_names([_sample(**metainfo)], allowed)
    assert issubclass(RoutingError, ValueError)


def test_the_wrong_sample_is_the_one_that_is_named():
    samples = [
        _sample(img_path='1.png', dataset_name='a'),
        _sample(img_path='2.png', dataset_name='A'),
        _sample(img_path='3.png', dataset_name='a'),
    ]
    with pytest.raises(RoutingError, match=r"^2\.png names the data set 'A'"):
        dataset_names(samples, ('a',))


# -- names of data sets ---------------------------------------------------------------
@pytest.mark.parametrize('names', [['a'], ('isprs_potsdam', 'LoveDA-2', '7')])
def test_names_that_do(names):
    found = check_dataset_names(names, 'X')
    assert found == tuple(names)
    heads = nn.ModuleDict({name: nn.Linear(1, 1) for name in found})
    # One name is one part of a parameter's name: no dots.
    assert [key.split('.')[0] for key in heads.state_dict()][::2] == list(found)


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ([], 'X got no data sets, expected at least one name'),
        (
            ['b', 'a', 'b', 'a', 'c'],
            r"X: data set\(s\) \['a', 'b'\] occur more than once in "
            r"\['b', 'a', 'b', 'a', 'c'\]; every data set has one expert",
        ),
        (['a', 'b.c'], r"X: 'b\.c' cannot name a data set; allowed are letters"),
        (['a b'], "X: 'a b' cannot name a data set; allowed are letters"),
        ([''], "X: '' cannot name a data set; allowed are letters"),
        (['a\n'], r"X: 'a\\n' cannot name a data set; allowed are letters"),
        ([None], 'X: None cannot name a data set; allowed are letters'),
        ([3], 'X: 3 cannot name a data set; allowed are letters'),
        (['keys'], "X: 'keys' cannot name a data set: a ModuleDict has an"),
        (['type'], "X: 'type' cannot name a data set: a ModuleDict has an"),
        (['training'], "X: 'training' cannot name a data set: a ModuleDict has an"),
        (['_modules'], "X: '_modules' cannot name a data set: a ModuleDict has an"),
    ],
)
def test_names_that_do_not(names, message):
    with pytest.raises(ValueError, match=message):
        check_dataset_names(names, 'X')


@pytest.mark.parametrize('kind', [nn.ModuleDict, ModuleDict])
def test_every_name_that_a_module_dict_refuses_is_refused(kind):
    refused = []
    for name in dir(kind()):
        try:
            kind()[name] = nn.Identity()
        except KeyError:
            refused.append(name)
    assert len(refused) > 30
    for name in refused:
        with pytest.raises(ValueError, match='cannot name a data set'):
            check_dataset_names([name], 'X')
