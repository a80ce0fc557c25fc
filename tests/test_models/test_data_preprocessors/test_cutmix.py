"""CutMix rectangles, partners and mixtures."""

import numpy as np
import pytest
import torch

from s5_mm.models.data_preprocessors import CutMix, MixPlan, rectangles_to_mask
from s5_mm.utils import SampleKey


def _keys(count):
    return [SampleKey(3, 1, i) for i in range(count)]


def test_rectangles_have_the_releases_distribution():
    height, width = 128, 128
    boxes = CutMix().draw(_keys(4000), height, width)
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    drawn = w > 0
    assert drawn.mean() == pytest.approx(0.5, abs=0.05)
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    share = (w * h)[drawn] / (height * width)
    # int() truncates both sides, so the share falls a little short.
    assert share.min() > 0.02 - 0.01
    assert share.max() <= 0.4
    assert share.mean() == pytest.approx(0.21, abs=0.02)
    ratio = h[drawn] / w[drawn]
    assert ratio.min() > 0.25
    assert ratio.max() < 4


def test_rectangle_depends_on_its_sample_alone():
    cutmix = CutMix(prob=1.0)
    together = cutmix.draw(_keys(8), 64, 96)
    for i, key in enumerate(_keys(8)):
        np.testing.assert_array_equal(cutmix.draw([key], 64, 96)[0], together[i])


@pytest.mark.parametrize('count', range(1, 14))
def test_partners_are_a_permutation_without_fixed_points(count):
    partners = CutMix.partners(count)
    assert sorted(partners) == list(range(count))
    assert count == 1 or (partners != np.arange(count)).all()


def test_partners_do_not_depend_on_how_many_processes_share_the_batch():
    whole = CutMix.partners(12)
    half = CutMix.partners(6)
    np.testing.assert_array_equal(whole, np.concatenate([half, half + 6]))


def test_mask_is_the_half_open_rectangle():
    boxes = torch.tensor([[1, 2, 4, 3], [0, 0, 0, 0], [0, 0, 5, 4]])
    want = torch.zeros(3, 4, 5, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(want, boxes.tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    assert torch.equal(rectangles_to_mask(boxes, 4, 5), want)


@pytest.mark.parametrize('shape', [(2, 6, 7), (2, 3, 6, 7)])
def test_mixture_is_the_equation(shape):
    own, views = torch.rand(shape), torch.rand(4, *shape[1:])
    region = rectangles_to_mask(torch.tensor([[1, 1, 5, 4], [0, 2, 7, 6]]), 6, 7)
    plan = MixPlan(region, torch.tensor([2, 3]), torch.ones(4, 6, 7).bool())
    weight = region.float() if len(shape) == 3 else region[:, None].float()
    want = own * (1 - weight) + views[[2, 3]] * weight
    assert torch.equal(plan.mix(own, views), want)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(prob=-0.1), 'prob=-0.1, expected 0 to 1'),
        (dict(area=(0.5, 0.1)), 'area must be'),
        (dict(ratio=(2.0, 3.0)), 'ratio must be'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CutMix(**arguments)
