"""The strong augmentation draws what the paper's release draws, sample by sample."""

import numpy as np
import pytest
import torch

from s5_mm.models.data_preprocessors import StrongAugment
from s5_mm.models.data_preprocessors.photometric import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_blur,
    luma,
)
from s5_mm.utils import SampleKey


def _keys(count, seed=0, start=0):
    return [SampleKey(seed, 1, start + i) for i in range(count)]


def test_batch_equals_image_by_image():
    augment = StrongAugment()
    images = torch.rand(16, 3, 20, 24)
    keys = _keys(16)
    before = images.clone()
    together = augment(images, keys)
    assert torch.equal(images, before)
    for i in range(16):
        alone = augment(images[i : i + 1], keys[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_equals_the_plain_composition_in_the_drawn_order():
    augment = StrongAugment()
    operations = [
        adjust_brightness,
        adjust_contrast,
        adjust_saturation,
        adjust_hue,
    ]
    images, keys = torch.rand(12, 3, 16, 16), _keys(12, seed=5)
    drawn = augment.draw(keys)
    for i, got in enumerate(augment(images, keys)):
        want = images[i : i + 1]
        for operation in drawn['order'][i]:
            if operation >= 0:
                factor = torch.tensor([drawn['factor'][i, operation]])
                want = operations[operation](want, factor)
        if drawn['gray'][i]:
            want = luma(want).expand(-1, 3, -1, -1)
        if drawn['sigma'][i] > 0:
            want = gaussian_blur(want, torch.tensor([drawn['sigma'][i]]), 2.0)
        torch.testing.assert_close(got, want[0])


def test_draws_have_the_stated_frequencies_and_ranges():
    drawn = StrongAugment().draw(_keys(4000))
    jittered = drawn['order'][:, 0] >= 0
    # Six standard deviations of a binomial of 4000.
    assert jittered.mean() == pytest.approx(0.8, abs=0.04)
    assert drawn['gray'].mean() == pytest.approx(0.2, abs=0.04)
    blurred = drawn['sigma'] > 0
    assert blurred.mean() == pytest.approx(0.5, abs=0.05)
    assert drawn['sigma'][blurred].min() >= 0.1
    assert drawn['sigma'].max() <= 2.0
    assert drawn['sigma'][blurred].mean() == pytest.approx(1.05, abs=0.08)
    low, high = drawn['factor'].min(axis=0), drawn['factor'].max(axis=0)
    assert np.all(low >= [0.5, 0.5, 0.5, -0.25])
    assert np.all(high <= [1.5, 1.5, 1.5, 0.25])
    assert np.all(high - low > np.array([1, 1, 1, 0.5]) * 0.99)
    orders = {tuple(order) for order in drawn['order'][jittered]}
    assert len(orders) == 24


def test_switching_one_part_off_leaves_the_other_draws():
    full = StrongAugment().draw(_keys(50))
    without = StrongAugment(jitter_prob=0.0).draw(_keys(50))
    assert (without['order'] == -1).all()
    for name in ('factor', 'gray', 'sigma'):
        np.testing.assert_array_equal(full[name], without[name])


def test_nothing_switched_on_changes_nothing():
    augment = StrongAugment(jitter_prob=0, gray_prob=0, blur_prob=0)
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(augment(images, _keys(3)), images)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(jitter_prob=1.5), 'jitter_prob=1.5, expected 0 to 1'),
        (dict(hue=0.7), 'hue=0.7, expected 0 to 0.5'),
        (dict(blur_sigma=(0.0, 2.0)), 'blur_sigma must be'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StrongAugment(**arguments)
