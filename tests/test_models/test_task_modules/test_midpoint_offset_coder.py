"""The rectangle in closed form is the one that OpenCV finds."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import math  # noqa: E402

import torch  # noqa: E402
from mmdet.structures.bbox import HorizontalBoxes  # noqa: E402
from mmrotate.models.task_modules.coders import (  # noqa: E402
    MidpointOffsetCoder as Host,
)
from mmrotate.structures.bbox import RotatedBoxes, rbox2qbox  # noqa: E402

from s5_mm.models import MidpointOffsetCoder  # noqa: E402

SETTING = dict(
    angle_version='le90',
    target_means=[0.0, 0.1, 0.0, -0.1, 0.05, 0.0],
    target_stds=[1.0, 1.0, 0.9, 1.0, 0.5, 0.5],
)
START = dict(oc=(-90, 0), le90=(-90, 90), le135=(-45, 135))


def _inputs(count=300, dtype=torch.float32, seed=0):
    """Anchors, and offsets that reach beyond every limit."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, 4, generator=generator, dtype=torch.float64)
    low = values[:, :2] * 900
    anchors = torch.cat([low, low + 4 + values[:, 2:] * 200], dim=1)
    offsets = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    offsets[:3, 2:4] = torch.tensor([[9.0, -9.0], [-9.0, 9.0], [0.0, 0.0]])
    return anchors.to(dtype), offsets.to(dtype)


def _corners(boxes):
    return rbox2qbox(boxes).reshape(-1, 4, 2)


def _distance(one, other):
    """Largest distance (n,) of a corner to the nearest of the other rectangle."""
    gaps = (one[:, :, None] - other[:, None]).norm(dim=-1)
    return torch.maximum(gaps.amin(2).amax(1), gaps.amin(1).amax(1))


@pytest.mark.parametrize('version', list(START))
def test_is_the_hosts_box(version):
    anchors, offsets = _inputs()
    setting = dict(SETTING, angle_version=version)
    ours = MidpointOffsetCoder(**setting).decode(HorizontalBoxes(anchors), offsets)
    host = Host(**setting).decode(HorizontalBoxes(anchors), offsets)
    assert type(ours) is type(host) is RotatedBoxes
    scale = host.tensor[:, 2:4].amax(dim=1)
    near = _distance(_corners(ours.tensor), _corners(host.tensor)) / scale
    assert near.max() < 2e-4  # OpenCV in fp32
    # But for squares and the ends of the angle's range it is the same row.
    low, high = (math.radians(value) for value in START[version])
    angle = ours.tensor[:, 4]
    assert ((angle >= low - 1e-6) & (angle <= high + 1e-6)).all()
    plain = (host.tensor[:, 2] > 1.01 * host.tensor[:, 3]) & (angle > low + 0.01)
    plain &= angle < high - 0.01
    assert plain.sum() > 100
    gap = (ours.tensor - host.tensor)[plain].abs()
    assert (gap[:, :4] / scale[plain, None]).max() < 2e-4
    assert gap[:, 4].max() < 1e-3


def test_exact_in_double_precision():
    """Corner by corner: the midpoints, the shorter diagonal lengthened."""
    anchors, offsets = _inputs(80, torch.float64)
    means, stds = SETTING['target_means'], SETTING['target_stds']
    found = MidpointOffsetCoder(**SETTING).decode(anchors, offsets).tensor
    assert found.dtype == torch.float64
    assert (found[:, 2] >= found[:, 3]).all()
    limit = abs(math.log(16 / 1000))
    expected = []
    for (x1, y1, x2, y2), row in zip(anchors.tolist(), offsets.tolist(), strict=True):
        dx, dy, dw, dh, da, db = (
            value * std + mean
            for value, std, mean in zip(row, stds, means, strict=True)
        )
        w = (x2 - x1) * math.exp(min(max(dw, -limit), limit))
        h = (y2 - y1) * math.exp(min(max(dh, -limit), limit))
        x = (x1 + x2) / 2 + dx * (x2 - x1)
        y = (y1 + y2) / 2 + dy * (y2 - y1)
        a, b = (min(max(value, -0.5), 0.5) for value in (da, db))
        points = [(a * w, -h / 2), (w / 2, b * h), (-a * w, h / 2), (-w / 2, -b * h)]
        lengths = [math.hypot(*point) for point in points]
        factors = [max(lengths) / length for length in lengths]
        expected.append(
            [
                (x + px * factor, y + py * factor)
                for (px, py), factor in zip(points, factors, strict=True)
            ]
        )
    near = _distance(_corners(found), torch.tensor(expected, dtype=torch.float64))
    assert (near / found[:, 2]).max() < 1e-12


def test_decodes_what_it_encodes():
    generator = torch.Generator().manual_seed(3)
    anchors, _ = _inputs(50)
    boxes = torch.rand(50, 5, generator=generator)
    boxes = boxes * torch.tensor([900, 900, 60, 20, 2.4])
    boxes += torch.tensor([0, 0, 70, 20, -1.2])
    coder = MidpointOffsetCoder(**SETTING)
    offsets = coder.encode(HorizontalBoxes(anchors), RotatedBoxes(boxes))
    found = coder.decode(HorizontalBoxes(anchors), offsets, wh_ratio_clip=1e-6).tensor
    torch.testing.assert_close(found, boxes, rtol=1e-3, atol=2e-2)


def test_boxes_without_a_width_keep_their_angle():
    """Both offsets at their ends: the rectangle is a diagonal of the anchor."""
    anchors = torch.tensor([[0.0, 0.0, 40.0, 20.0]], dtype=torch.float64)
    setting = dict(angle_version='le90', use_box_type=False)
    ends = [[0, 0, 0, 0, 0.5, -0.5], [0, 0, 0, 0, -0.5, 0.5]]
    angles = (math.atan2(-20, 40), math.atan2(20, 40))
    for end, angle in zip(ends, angles, strict=True):
        offsets = torch.tensor([end], dtype=torch.float64)
        box = MidpointOffsetCoder(**setting).decode(anchors, offsets)
        expected = torch.tensor([[20, 10, math.hypot(40, 20), 0, angle]]).double()
        torch.testing.assert_close(box, expected, rtol=0, atol=1e-6)


def test_several_images_at_once_and_none():
    coder = MidpointOffsetCoder(**SETTING)
    anchors, offsets = _inputs(12)
    flat = coder.decode(anchors, offsets).tensor
    several = coder.decode(anchors.view(3, 4, 4), offsets.view(3, 4, 6)).tensor
    assert several.equal(flat.view(3, 4, 5))
    assert coder.decode(anchors[:0], offsets[:0]).tensor.shape == (0, 5)


def test_has_a_gradient():
    anchors, offsets = _inputs(6, torch.float64)
    offsets = (offsets * 0.05).requires_grad_()
    coder = MidpointOffsetCoder(**dict(SETTING, use_box_type=False))
    assert torch.autograd.gradcheck(lambda own: coder.decode(anchors, own), offsets)
