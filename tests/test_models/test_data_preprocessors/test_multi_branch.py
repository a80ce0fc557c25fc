"""Branches are made on the device as the equations say."""

import re

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.models.data_preprocessors import (
    MultiBranchDataPreprocessor,
    MultiDatasetDataPreprocessor,
)
from s5_mm.utils import SampleKey

MEAN, STD = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]
STRONG = dict(type='s5_mm.StrongAugment')
CUTMIX = dict(type='s5_mm.CutMix', prob=1.0)


def _preprocessor(**kwargs):
    arguments = dict(mean=MEAN, std=STD, strong=STRONG, cutmix=CUTMIX)
    return MultiBranchDataPreprocessor(**{**arguments, **kwargs})


def _batch(counts=None, size=(32, 40), rect=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = {}, {}
    counts = counts or dict(sup=2, unsup=4)
    for source, (name, count) in enumerate(counts.items()):
        shape = (count, 3, *size)
        images = torch.randint(0, 256, shape, generator=generator)
        inputs[name] = images.to(torch.uint8)
        samples[name] = []
        for i in range(count):
            sample = SegDataSample(metainfo=dict(sample_key=SampleKey(1, source, i)))
            if rect is not None:
                sample.set_metainfo(dict(valid_rect=rect))
            if name == 'sup':
                data = torch.zeros(1, *size, dtype=torch.uint8)
                sample.gt_sem_seg = PixelData(data=data)
            samples[name].append(sample)
    return dict(inputs=inputs, data_samples=samples)


def _normalized(images):
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (images.float() - mean) / std


def test_labelled_and_weak_views_are_only_normalised():
    batch = _batch()
    out = _preprocessor()(batch, True)
    for branch, source in (('sup', 'sup'), ('unsup_weak', 'unsup')):
        want = _normalized(batch['inputs'][source])
        torch.testing.assert_close(out['inputs'][branch], want, atol=1e-5, rtol=0)
    assert out['data_samples']['sup'] is not None


def test_strong_view_is_mixed_with_the_neighbour():
    batch = _batch()
    preprocessor = _preprocessor()
    out = preprocessor(batch, True)
    images = batch['inputs']['unsup'].float() / 255
    keys = [sample.sample_key for sample in batch['data_samples']['unsup']]
    strong = preprocessor.strong(images, keys)
    boxes = preprocessor.cutmix.draw(keys, 32, 40)
    for i, partner in enumerate([1, 0, 3, 2]):
        want = strong[i].clone()
        x0, y0, x1, y1 = boxes[i]
        want[:, y0:y1, x0:x1] = strong[partner][:, y0:y1, x0:x1]
        want = _normalized(want * 255)
        torch.testing.assert_close(
            out['inputs']['unsup_strong'][i], want, atol=1e-5, rtol=0
        )
        assert not torch.equal(want, out['inputs']['unsup_weak'][i])


def test_partners_of_their_own_source():
    batch = _batch(dict(sup=2, unsup=3, unsup_mix=3))
    out = _preprocessor(mix_source='unsup_mix')(batch, True)
    assert out['inputs']['unsup_weak'].shape == (6, 3, 32, 40)
    assert out['inputs']['unsup_strong'].shape == (3, 3, 32, 40)
    assert out['mix'].partner.tolist() == [3, 4, 5]
    assert out['mix'].valid.shape == (6, 32, 40)
    weak = _normalized(
        torch.cat([batch['inputs']['unsup'], batch['inputs']['unsup_mix']])
    )
    torch.testing.assert_close(out['inputs']['unsup_weak'], weak, atol=1e-5, rtol=0)


def test_padding_is_not_valid():
    out = _preprocessor()(_batch(rect=(5, 0, 40, 20)), True)
    want = torch.zeros(4, 32, 40, dtype=torch.bool)
    want[:, 0:20, 5:40] = True
    assert torch.equal(out['mix'].valid, want)


def test_same_batch_gives_the_same_views_whatever_else_is_drawn():
    preprocessor = _preprocessor()
    first = preprocessor(_batch(), True)['inputs']
    torch.rand(100)
    second = preprocessor(_batch(), True)['inputs']
    for name, images in first.items():
        assert torch.equal(images, second[name])


def test_autocast_outside_does_not_lower_the_precision():
    preprocessor = _preprocessor()
    plain = preprocessor(_batch(), True)['inputs']['unsup_strong']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        under = preprocessor(_batch(), True)['inputs']['unsup_strong']
    assert torch.equal(plain, under)


def test_lists_take_the_path_of_mmseg():
    images = [torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8) for _ in range(2)]
    out = _preprocessor()(
        dict(inputs=images, data_samples=[SegDataSample(), SegDataSample()])
    )
    torch.testing.assert_close(out['inputs'], _normalized(torch.stack(images)))


def test_missing_mix_source_is_named():
    with pytest.raises(KeyError, match="mix_source 'other' is not in the batch"):
        _preprocessor(mix_source='other')(_batch(), True)


def test_mean_is_required():
    with pytest.raises(ValueError, match='needs `mean` and `std`'):
        MultiBranchDataPreprocessor()


# -- settings of mmseg's preprocessor -------------------------------------------------
def _turned(batch):
    """The batch with its channels in the order of OpenCV."""
    inputs = batch['inputs']
    if isinstance(inputs, dict):
        inputs = {name: images.flip(1) for name, images in inputs.items()}
    else:
        inputs = [image.flip(0) for image in inputs]
    return dict(batch, inputs=inputs)


@pytest.mark.parametrize('cls', [_preprocessor, MultiDatasetDataPreprocessor])
def test_bgr_images_become_rgb_in_training_and_validation(cls):
    settings = dict(mean=MEAN, std=STD)
    plain, swap = cls(**settings), cls(bgr_to_rgb=True, **settings)
    shape = (3, 8, 8)
    images = [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in range(2)]
    listed = dict(inputs=images, data_samples=[SegDataSample(), SegDataSample()])
    for batch, training in ((_batch(), True), (listed, False)):
        want = plain(batch, training)['inputs']
        found = swap(_turned(batch), training)['inputs']
        pairs = zip(want, found, strict=True)
        if isinstance(want, dict):
            pairs = ((want[name], found[name]) for name in want)
        for one, other in pairs:
            assert torch.equal(one, other)


REFUSED = dict(
    size=(512, 512),
    size_divisor=32,
    batch_augments=[dict(type='X')],
    rgb_to_bgr=True,
    seg_pad_val=0,
)


@pytest.mark.parametrize('name', REFUSED)
@pytest.mark.parametrize('cls', [_preprocessor, MultiDatasetDataPreprocessor])
def test_settings_without_effect_are_refused_by_name(cls, name):
    kind = 'MultiDataset' if cls is MultiDatasetDataPreprocessor else 'MultiBranch'
    message = f'{kind}DataPreprocessor: {name}={REFUSED[name]!r} would have no effect; '
    with pytest.raises(ValueError, match=re.escape(message)):
        cls(mean=MEAN, std=STD, **{name: REFUSED[name]})


@pytest.mark.parametrize('own', [dict(pad_val=1), dict(test_cfg=dict(size_divisor=16))])
def test_padding_has_no_effect_on_images_that_are_predicted_one_by_one(own):
    with pytest.raises(ValueError, match='images are predicted one by one, without p'):
        MultiDatasetDataPreprocessor(mean=MEAN, std=STD, **own)


def test_padding_of_validation_images():
    image = torch.randint(0, 256, (3, 8, 13), dtype=torch.uint8)
    settings = dict(pad_val=0.5, test_cfg=dict(size_divisor=16))
    data = dict(inputs=[image], data_samples=[SegDataSample()])
    found = _preprocessor(**settings)(data)['inputs'][0]
    assert found.shape == (3, 16, 16)
    torch.testing.assert_close(found[:, :8, :13], _normalized(image))
    assert (found[:, 8:] == 0.5).all()
    assert (found[..., 13:] == 0.5).all()
