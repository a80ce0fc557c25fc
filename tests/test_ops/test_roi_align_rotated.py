"""RoIAlignRotated, against bilinear sampling point by point and the compiled one."""

import math

import pytest
import torch

from s5_mm.ops.operators import roi_align_rotated_backward, roi_align_rotated_forward
from s5_mm.ops.roi_align_rotated import RoIGrid, pool_rois, pool_rois_backward

from ..support.mmcv_ops import needs_compiled

SETTINGS = [
    RoIGrid(4, 3, 0.25, 2, aligned=True, clockwise=True),
    RoIGrid(2, 3, 0.5, 3, aligned=True, clockwise=False),
    RoIGrid(4, 2, 0.25, 0, aligned=True, clockwise=True),
    RoIGrid(2, 3, 1.0, 0, aligned=False, clockwise=False),
]


def _rois(count=12, extent=80.0, images=2, seed=0):
    """Boxes of all sizes; some lie outside, one has no area."""
    draw = torch.Generator().manual_seed(seed)
    place = (torch.rand(count, 2, generator=draw) * 1.3 - 0.15) * extent
    sides = torch.rand(count, 2, generator=draw) * extent / 2
    angle = (torch.rand(count, 1, generator=draw) * 2 - 1) * math.pi
    image = torch.randint(0, images, (count, 1), generator=draw).float()
    rois = torch.cat((image, place, sides, angle), dim=1)
    rois[1, 3:5] = 0
    rois[2, 1:3] = 5 * extent
    return rois


def _features(shape=(2, 3, 20, 24), seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _sample(image, y, x):
    """The bilinear value of a map (C, H, W) at a point; 0 more than 1 px outside."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return image[:, 0, 0] * 0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    value = 0
    for row, share in ((top, 1 - (y - top)), (min(top + 1, height - 1), y - top)):
        for col, part in ((left, 1 - (x - left)), (min(left + 1, width - 1), x - left)):
            value = value + image[:, row, col] * share * part
    return value


def _slow(features, rois, grid):
    """Average the samples of each bin, one by one."""
    pooled = []
    for image, cx, cy, w, h, angle in rois.tolist():
        cx, cy, w, h = (value * grid.spatial_scale for value in (cx, cy, w, h))
        if grid.aligned:
            cx, cy = cx - 0.5, cy - 0.5
        else:
            w, h = max(w, 1), max(h, 1)
        # In an image y points down: a positive angle there turns clockwise.
        sign = 1 if grid.clockwise else -1
        along = (math.cos(angle), sign * math.sin(angle))
        down = (-sign * math.sin(angle), math.cos(angle))
        columns = grid.sampling_ratio or math.ceil(w / grid.width)
        rows = grid.sampling_ratio or math.ceil(h / grid.height)
        for i in range(grid.height * grid.width):
            row, col = divmod(i, grid.width)
            value = features[0, :, 0, 0] * 0
            for k in range(rows * columns):
                u = ((col + (k % columns + 0.5) / columns) / grid.width - 0.5) * w
                v = ((row + (k // columns + 0.5) / rows) / grid.height - 0.5) * h
                x = cx + u * along[0] + v * down[0]
                y = cy + u * along[1] + v * down[1]
                value = value + _sample(features[int(image)], y, x)
            pooled.append(value / max(rows * columns, 1))
    pooled = torch.stack(pooled).view(len(rois), grid.height, grid.width, -1)
    return pooled.permute(0, 3, 1, 2)


@pytest.mark.parametrize('grid', SETTINGS)
def test_equals_sampling_point_by_point(grid):
    features = _features().double().requires_grad_()
    rois = _rois().double()
    want = _slow(features, rois, grid)
    torch.testing.assert_close(pool_rois(features, rois, grid), want)
    grad = torch.randn(want.shape, dtype=torch.float64)
    want.backward(grad)
    got = pool_rois_backward(grad, rois, features.shape, grid)
    torch.testing.assert_close(got, features.grad)
    assert (features.grad != 0).float().mean() > 0.05
    single = pool_rois(features.float(), rois.float(), grid)
    torch.testing.assert_close(single, want.float(), rtol=0, atol=3e-5)


def test_memory_format_does_not_matter():
    features, rois, grid = _features(), _rois(), SETTINGS[0]
    want = pool_rois(features, rois, grid)
    last = features.to(memory_format=torch.channels_last)
    assert torch.equal(pool_rois(last, rois, grid), want)
    wide = _features((2, 6, 20, 24))
    assert torch.equal(
        pool_rois(wide[:, ::2], rois, grid),
        pool_rois(wide[:, ::2].contiguous(), rois, grid),
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_fp32(dtype):
    features, rois, grid = _features().to(dtype), _rois(), SETTINGS[0]
    got = pool_rois(features, rois, grid)
    assert got.dtype == dtype
    want = pool_rois(features.float(), rois, grid)
    assert torch.equal(got, want.to(dtype))


def test_no_rois_and_rois_without_samples():
    features, grid = _features(), SETTINGS[2]
    none = pool_rois(features, _rois()[:0], grid)
    assert none.shape == (0, 3, 4, 2)
    assert not pool_rois_backward(none, _rois()[:0], features.shape, grid).any()
    flat = _rois()[1:2]  # has no area, so with sampling_ratio=0 it has no samples
    assert torch.equal(pool_rois(features, flat, grid), torch.zeros(1, 3, 4, 2))


def test_negative_sides_are_refused():
    rois = _rois()
    rois[3, 4] = -1
    with pytest.raises(ValueError, match=r'-1\.0, .*\], expected a width and a height'):
        pool_rois(_features(), rois, SETTINGS[0])


@needs_compiled
@pytest.mark.parametrize('grid', SETTINGS)
def test_operators_equal_the_compiled_ones(grid):
    """Forward and backward in fp32, at the coordinates of a map of 256 px."""
    from mmcv.ops import roi_align_rotated

    rois = _rois(200, extent=256 / grid.spatial_scale)
    features = _features((2, 4, 256, 256)).requires_grad_()
    want = roi_align_rotated(
        *(features, rois, (grid.height, grid.width), grid.spatial_scale),
        *(grid.sampling_ratio, grid.aligned, grid.clockwise),
    )
    settings = dict(zip(('pooled_height', 'pooled_width'), grid[:2], strict=True))
    settings |= dict(zip(RoIGrid._fields[2:], grid[2:], strict=True))
    got = torch.full_like(want, 9)
    roi_align_rotated_forward(features.detach(), rois, got, **settings)
    torch.testing.assert_close(got, want.detach(), rtol=1e-5, atol=1e-5)
    grad = torch.randn(want.shape, generator=torch.Generator().manual_seed(2))
    want.backward(grad)
    got = torch.full_like(features, 9)
    roi_align_rotated_backward(grad, rois, got, **settings)
    torch.testing.assert_close(got, features.grad, rtol=1e-5, atol=1e-5)
