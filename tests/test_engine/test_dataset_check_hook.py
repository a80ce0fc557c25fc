"""Data and heads that do not fit are told apart before a run, by name and number."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader

from s5_mm.datasets import MultiSourceDataset
from s5_mm.engine.hooks import DatasetCheckHook
from s5_mm.registry import DATASETS, MODELS

from ..test_datasets.files import LABELLED, UNLABELLED, labelled, unlabelled
from ..test_models.test_segmentors.multi_dataset import config
from ..test_models.toys import toy_segmentor

LOADERS = ['train', 'val', 'test']


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    labelled(folder / 'l', 2)
    unlabelled(folder / 'u', 2)
    return folder


def _seg(root, classes):
    """Data set with so many classes."""
    metainfo = dict(classes=tuple('pqrstuvw'[:classes]))
    return dict(
        type='s5_mm.SegDataset',
        data_root=str(root / 'l'),
        metainfo=metainfo,
        pipeline=LABELLED,
    )


def _unlabelled(root):
    return dict(
        type='s5_mm.UnlabelledDataset', data_dir=str(root / 'u'), pipeline=UNLABELLED
    )


def _several(**classes):
    """Model with these heads and numbers of classes."""
    datasets = {name: dict(num_classes=count) for name, count in classes.items()}
    with torch.device('meta'):
        return MODELS.build(config(moe=False, datasets=datasets))


def _check(model, dataset, loader):
    if isinstance(dataset, dict) and 'type' not in dataset:
        dataset = MultiSourceDataset(dataset)
    elif isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    # The others would fail: each hook looks at its own.
    built = dict.fromkeys((f'{name}_dataloader' for name in LOADERS), None)
    built[f'{loader}_dataloader'] = DataLoader(dataset)
    runner = SimpleNamespace(model=model, **built)
    getattr(DatasetCheckHook(), f'before_{loader}')(runner)


# -- one head for each data set -------------------------------------------------------
@pytest.mark.parametrize('loader', LOADERS)
def test_heads_that_fit(root, loader):
    model = _several(x=3, y=5, z=2)
    _check(model, dict(x=_seg(root, 3), y=_seg(root, 5)), loader)
    _check(model, dict(z=_seg(root, 2), n=_unlabelled(root)), loader)


@pytest.mark.parametrize('loader', LOADERS)
@pytest.mark.parametrize('classes', [4, 6])
def test_heads_of_other_classes(root, loader, classes):
    model, names = _several(x=3, y=5), tuple('pqrstuvw'[:classes])
    message = (
        f'{loader}_dataloader: y has {classes} classes {names}, its head 5 '
        '(model.datasets.y.num_classes)'
    )
    with pytest.raises(ValueError, match='y has') as error:
        _check(model, dict(x=_seg(root, 3), y=_seg(root, classes)), loader)
    assert str(error.value) == message


@pytest.mark.parametrize('loader', LOADERS)
def test_data_sets_that_the_model_does_not_know(root, loader):
    message = (
        f"{loader}_dataloader has the data set(s) ['Y', 'q'], the model has "
        "['x', 'y'] (model.datasets)"
    )
    data = dict(x=_seg(root, 3), Y=_seg(root, 5), q=_seg(root, 5))
    with pytest.raises(ValueError, match='has the data set') as error:
        _check(_several(x=3, y=5), data, loader)
    assert str(error.value) == message


@pytest.mark.parametrize('loader', LOADERS)
def test_the_only_data_set_needs_no_name(root, loader):
    """Samples without a name are its own, see `dataset_names`."""
    model = _several(x=3)
    _check(model, _seg(root, 3), loader)
    message = (
        f"{loader}_dataloader: x has 2 classes ('p', 'q'), its head 3 "
        '(model.datasets.x.num_classes)'
    )
    with pytest.raises(ValueError, match='x has') as error:
        _check(model, _seg(root, 2), loader)
    assert str(error.value) == message


def test_data_without_names_of_classes_are_not_checked(root):
    for model in (_several(x=3, y=5), _several(x=3)):
        _check(model, dict(n=_unlabelled(root)), 'train')
        _check(model, [1, 2, 3], 'train')


# -- one head -------------------------------------------------------------------------
def _single(classes):
    return MODELS.build(toy_segmentor('none', classes))


@pytest.mark.parametrize('loader', LOADERS)
@pytest.mark.parametrize('classes', [2, 4])
def test_one_head(root, loader, classes):
    _check(_single(classes), _seg(root, classes), loader)
    joined = dict(type='ConcatDataset', datasets=[_seg(root, classes)] * 2)
    _check(_single(classes), joined, loader)
    for wrong in (_seg(root, 3), dict(joined, datasets=[_seg(root, 3)] * 2)):
        message = (
            f"{loader}_dataloader: the data set has 3 classes ('p', 'q', 'r'), its "
            f'head {classes} (model.decode_head.num_classes)'
        )
        with pytest.raises(ValueError, match='the data set has') as error:
            _check(_single(classes), wrong, loader)
        assert str(error.value) == message


def test_the_head_in_a_semi_supervised_wrapper_is_named_as_in_its_config(root):
    preprocessor = dict(
        type='s5_mm.MultiBranchDataPreprocessor', mean=[0.0] * 3, std=[1.0] * 3
    )
    semi = MODELS.build(
        dict(
            type='s5_mm.SemiBaseSegmentor',
            segmentor=toy_segmentor('none', 2),
            data_preprocessor=preprocessor,
        )
    )
    with pytest.raises(
        ValueError, match=r'head 2 \(model\.segmentor\.decode_head\.num_classes\)'
    ):
        _check(semi, _seg(root, 3), 'train')


@pytest.mark.parametrize('loader', LOADERS)
def test_one_head_for_several_sources(root, loader):
    """As in semi-supervised training; every source with classes counts."""
    data = dict(sup=_seg(root, 3), unsup=_unlabelled(root), mix='unsup')
    _check(_single(3), data, loader)
    more = dict(data, more=_seg(root, 4))
    message = (
        f"{loader}_dataloader: more has 4 classes ('p', 'q', 'r', 's'), its "
        'head 3 (model.decode_head.num_classes)'
    )
    with pytest.raises(ValueError, match='more has') as error:
        _check(_single(3), more, loader)
    assert str(error.value) == message


def test_other_models_and_data_are_let_through(root):
    _check(nn.Linear(2, 2), _seg(root, 3), 'train')
    _check(_single(4), _unlabelled(root), 'train')
    _check(_single(4), ConcatDataset([[1, 2], [3]]), 'val')


def test_wrapped_models_are_unwrapped(root):
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = _single(4)
    with pytest.raises(ValueError, match='has 3 classes'):
        _check(wrapped, _seg(root, 3), 'val')


# -- detectors ------------------------------------------------------------------------
def _detector(classes, stages=0, one_stage=False):
    """A model with a box head where mmdet's detectors have it."""

    class Head(nn.Module):
        num_classes = classes

    head = nn.ModuleList([Head()] * stages) if stages else Head()
    model = nn.Module()
    if one_stage:
        model.bbox_head = head
    else:
        model.roi_head = nn.Module()
        model.roi_head.bbox_head = head
    return model


@pytest.mark.parametrize('kind', [{}, dict(stages=3), dict(one_stage=True)])
def test_heads_of_detectors(root, kind):
    _check(_detector(3, **kind), dict(x=_seg(root, 3)), 'train')
    setting = 'bbox_head' if 'one_stage' in kind else 'roi_head.bbox_head'
    message = (
        "test_dataloader: x has 4 classes ('p', 'q', 'r', 's'), its head 3 "
        f'(model.{setting}.num_classes)'
    )
    with pytest.raises(ValueError, match='x has') as error:
        _check(_detector(3, **kind), dict(x=_seg(root, 4)), 'test')
    assert str(error.value) == message
