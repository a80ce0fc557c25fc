"""Several sources become one batch, and its colours depend on the keys alone."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.models.data_preprocessors import MultiDatasetDataPreprocessor
from s5_mm.utils import SampleKey

MEAN, STD = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]
AUGMENT = dict(type='s5_mm.StrongAugment', jitter_prob=0.9, gray_prob=0.3)


def _preprocessor(**kwargs):
    return MultiDatasetDataPreprocessor(**{**dict(mean=MEAN, std=STD), **kwargs})


def _batch(counts, size=(20, 24)):
    inputs, samples = {}, {}
    generator = torch.Generator().manual_seed(0)
    for source, (name, count) in enumerate(counts.items()):
        images = torch.randint(0, 256, (count, 3, *size), generator=generator)
        inputs[name] = images.to(torch.uint8)
        samples[name] = []
        for position in range(count):
            key = SampleKey(1, source, position)
            meta = dict(sample_key=key, source=name, dataset_name=name)
            sample = SegDataSample(metainfo=meta)
            labels = torch.full((1, *size), source, dtype=torch.uint8)
            sample.gt_sem_seg = PixelData(data=labels)
            samples[name].append(sample)
    return dict(inputs=inputs, data_samples=samples)


def _part(batch, name, chosen):
    """The chosen samples of one source as a batch of their own."""
    samples = [batch['data_samples'][name][index] for index in chosen]
    images = batch['inputs'][name][list(chosen)]
    return dict(inputs={name: images}, data_samples={name: samples})


def _formula(images):
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (MEAN, STD))
    return (images.double() - mean.view(3, 1, 1)) / std.view(3, 1, 1)


# -- training batches -----------------------------------------------------------------
def test_sources_lie_one_after_the_other_normalised():
    batch = _batch(dict(z=2, a=3, m=1))
    out = _preprocessor()(batch, True)
    assert set(out) == {'inputs', 'data_samples'}
    assert out['inputs'].shape == (6, 3, 20, 24)
    assert out['inputs'].dtype == torch.float32
    assert out['inputs'].is_contiguous()
    names = [sample.dataset_name for sample in out['data_samples']]
    assert names == ['z', 'z', 'a', 'a', 'a', 'm']
    positions = [sample.sample_key.position for sample in out['data_samples']]
    assert positions == [0, 1, 0, 1, 2, 0]
    images = torch.cat([batch['inputs'][name] for name in 'zam'])
    torch.testing.assert_close(
        out['inputs'].double(), _formula(images), atol=1e-5, rtol=0
    )
    for sample, source in zip(out['data_samples'], [0, 0, 1, 1, 1, 2], strict=True):
        assert (sample.gt_sem_seg.data == source).all()
        assert sample.gt_sem_seg.data.dtype == torch.uint8


def test_samples_follow_the_images_not_the_order_of_their_dict():
    batch = _batch(dict(z=2, a=3))
    turned = dict(reversed(batch['data_samples'].items()))
    out = _preprocessor()(dict(inputs=batch['inputs'], data_samples=turned), True)
    names = [sample.dataset_name for sample in out['data_samples']]
    assert names == ['z', 'z', 'a', 'a', 'a']


def test_augmentation_comes_before_the_normalisation():
    batch = _batch(dict(a=2, b=3))
    preprocessor = _preprocessor(augment=AUGMENT)
    out = preprocessor(batch, True)['inputs']
    images = torch.cat(list(batch['inputs'].values())).float() / 255
    keys = [s.sample_key for own in batch['data_samples'].values() for s in own]
    wanted = preprocessor.augment(images, keys)
    torch.testing.assert_close(out.double(), _formula(wanted * 255), atol=2e-5, rtol=0)
    assert not wanted.equal(images)


def test_augmentation_is_a_function_of_the_key():
    """Alone, in a batch, in any order, beside other data sets: the same image."""
    batch = _batch(dict(a=6, b=5))
    preprocessor = _preprocessor(augment=AUGMENT)
    whole = preprocessor(batch, True)['inputs']
    assert preprocessor(batch, True)['inputs'].equal(whole)
    places = dict(a=range(6), b=range(6, 11))
    plain = _preprocessor()(batch, True)['inputs']
    assert sum(not w.equal(p) for w, p in zip(whole, plain, strict=True)) >= 9
    for name, start in (('a', 0), ('b', 6)):
        for index in range(len(places[name])):
            alone = preprocessor(_part(batch, name, [index]), True)['inputs'][0]
            torch.testing.assert_close(alone, whole[start + index], atol=1e-5, rtol=0)
    order = [4, 0, 5, 2, 1, 3]
    shuffled = preprocessor(_part(batch, 'a', order), True)['inputs']
    torch.testing.assert_close(shuffled, whole[order], atol=1e-5, rtol=0)
    turned = {k: dict(reversed(v.items())) for k, v in batch.items()}
    turned = preprocessor(turned, True)['inputs']
    torch.testing.assert_close(
        turned, torch.cat([whole[6:], whole[:6]]), atol=1e-5, rtol=0
    )


def test_another_key_gets_other_colours():
    batch = _batch(dict(a=4))
    preprocessor = _preprocessor(augment=AUGMENT)
    first = preprocessor(batch, True)['inputs']
    for position, sample in enumerate(batch['data_samples']['a']):
        key = SampleKey(2, 0, position)
        sample.set_metainfo(dict(sample_key=key))
    again = preprocessor(batch, True)['inputs']
    assert not any(x.equal(y) for x, y in zip(first, again, strict=True))


def test_images_are_not_modified():
    batch = _batch(dict(a=3))
    before = batch['inputs']['a'].clone()
    _preprocessor(augment=AUGMENT)(batch, True)
    assert batch['inputs']['a'].equal(before)


def test_autocast_does_not_round_colours():
    batch = _batch(dict(a=3))
    preprocessor = _preprocessor(augment=AUGMENT)
    wanted = preprocessor(batch, True)['inputs']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = preprocessor(batch, True)['inputs']
    assert found.dtype == torch.float32
    assert found.equal(wanted)


def test_different_sizes_are_refused():
    batch, other = _batch(dict(a=2, b=1)), _batch(dict(b=1), size=(20, 32))
    batch['inputs']['b'] = other['inputs']['b']
    message = (
        r"one batch holds images of different sizes: \{'a': \(20, 24\), "
        r"'b': \(20, 32\)\}; crop all data sets to the same size"
    )
    with pytest.raises(ValueError, match=message):
        _preprocessor()(batch, True)


# -- lists ----------------------------------------------------------------------------
@pytest.mark.parametrize('training', [False, True])
def test_lists_are_normalised_one_by_one(training):
    """Any sizes; no padding, no augmentation."""
    images = [_batch(dict(a=1), size)['inputs']['a'][0] for size in ((9, 7), (5, 12))]
    samples = _batch(dict(a=2))['data_samples']['a']
    data = dict(inputs=images, data_samples=samples)
    out = _preprocessor(augment=AUGMENT)(data, training)
    assert isinstance(out['inputs'], list)
    for found, image in zip(out['inputs'], images, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), _formula(image), atol=1e-5, rtol=0)
    for found, sample in zip(out['data_samples'], samples, strict=True):
        assert found.sample_key == sample.sample_key
        assert 'img_padding_size' not in found.metainfo


def test_lists_need_no_samples():
    images = [_batch(dict(a=1))['inputs']['a'][0]]
    out = _preprocessor()(dict(inputs=images))
    assert out['data_samples'] is None
    torch.testing.assert_close(
        out['inputs'][0].double(), _formula(images[0]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize('kwargs', [dict(), dict(augment=AUGMENT)])
def test_mean_and_std_are_required(kwargs):
    message = 'MultiDatasetDataPreprocessor needs `mean` and `std`'
    with pytest.raises(ValueError, match=message):
        MultiDatasetDataPreprocessor(**kwargs)
