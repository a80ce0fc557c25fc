"""RoIAlign of rotated boxes as two sparse products, on any device.

Every output value is a weighted sum of the feature vectors of a few pixels, so the
operator is one sparse matrix: rows are bins, columns are pixels.  The forward pass
multiplies it with the feature vectors, the backward pass multiplies its transpose with
the gradients; both are ``embedding_bag`` over rows of channels.

Source: detectron2's ``ROIAlignRotated`` as in mmcv 2.3.6, whose order of operations on
coordinates is kept, for rounding there moves samples by up to 1e-5 px.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class RoIGrid(NamedTuple):
    """How RoIs are sampled, the settings of mmcv's ``RoIAlignRotated``.

    Attributes:
        height: Bins of a RoI along its height.
        width: Bins of a RoI along its width.
        spatial_scale: Pixels of the feature map per pixel of the image.
        sampling_ratio: Samples per bin and axis; 0 for about one per pixel of the map.
        aligned: Whether pixel centres lie at half-integer coordinates.
        clockwise: Whether angles turn clockwise in the image.
    """

    height: int
    width: int
    spatial_scale: float
    sampling_ratio: int
    aligned: bool
    clockwise: bool


class _Bags(NamedTuple):
    """The non-zero entries of some rows of the sparse matrix.

    Attributes:
        rois: Indices of the RoIs, (k,).
        pixels: Flat index (image, y, x) of each entry, (k * bins, taps), int64.
        weights: Value of each entry, (k * bins, taps).
    """

    rois: Tensor
    pixels: Tensor
    weights: Tensor


def pool_rois(features: Tensor, rois: Tensor, grid: RoIGrid) -> Tensor:
    """Pool features of rotated boxes.

    Args:
        features: (N, C, H, W), any memory format, any floating type; half precision is
            computed in fp32.
        rois: (k, 6): image, centre x and y, width, height in pixels of the image,
            angle in radians.
        grid: Bins and samples.

    Returns:
        (k, C, grid.height, grid.width), of the type of ``features``.

    Raises:
        ValueError: On the CPU, if a RoI has a negative width or height.
    """
    count, channels, height, width = features.shape
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    table = table.to(torch.promote_types(features.dtype, torch.float32))
    bins = (grid.height, grid.width)
    pooled = table.new_zeros(len(rois), *bins, channels)
    for bags in _bags(rois.to(table), (height, width), grid):
        part = embedding_bag(
            bags.pixels, table, mode='sum', per_sample_weights=bags.weights
        ).view(-1, *bins, channels)
        if len(part) == len(rois):
            pooled = part
        else:
            pooled[bags.rois] = part
    return pooled.permute(0, 3, 1, 2).to(features.dtype)


def pool_rois_backward(
    grad: Tensor, rois: Tensor, shape: torch.Size, grid: RoIGrid
) -> Tensor:
    """Compute the gradient of the features.

    Args:
        grad: Gradient of what :func:`pool_rois` returned,
            (k, C, grid.height, grid.width).
        rois: (k, 6), as there.
        shape: Of the features, (N, C, H, W).
        grid: As there.

    Returns:
        (N, C, H, W), channels-last strides.
    """
    count, channels, height, width = shape
    dtype = torch.promote_types(grad.dtype, torch.float32)
    grad = grad.permute(0, 2, 3, 1).to(dtype)
    table = grad.new_zeros(count * height * width, channels)
    for bags in _bags(rois.to(grad), (height, width), grid):
        rows = grad[bags.rois].reshape(-1, channels)
        pixels, order = bags.pixels.flatten().sort()
        found = torch.bincount(pixels, minlength=len(table))
        table += embedding_bag(
            order.div(bags.pixels.shape[1], rounding_mode='floor'),
            rows,
            found.cumsum(0) - found,
            mode='sum',
            per_sample_weights=bags.weights.flatten()[order],
        )
    return table.view(count, height, width, channels).permute(0, 3, 1, 2)


def _bags(rois: Tensor, size: tuple[int, int], grid: RoIGrid) -> Iterator[_Bags]:
    """Yield the sparse matrix, by RoIs with equal numbers of samples."""
    sides = rois[:, 3:5] * grid.spatial_scale
    if not grid.aligned:
        sides = sides.clamp(min=1)
    elif rois.device.type == 'cpu' and not bool((sides >= 0).all()):
        bad = rois[(sides < 0).any(dim=1)][0].tolist()
        raise ValueError(
            f'RoIAlignRotated: RoI (image, x, y, width, height, angle) {bad}, expected '
            'a width and a height of at least 0'
        )
    everyone = torch.arange(len(rois), device=rois.device)
    if grid.sampling_ratio > 0:
        samples = (grid.sampling_ratio, grid.sampling_ratio)
        yield _Bags(everyone, *_entries(rois, sides, samples, size, grid))
        return
    bins = sides.new_tensor([grid.width, grid.height])
    needed = (sides / bins).ceil().long()
    for columns, rows in needed.unique(dim=0).tolist():
        own = everyone[(needed == needed.new_tensor([columns, rows])).all(dim=1)]
        if columns and rows:
            entries = _entries(rois[own], sides[own], (rows, columns), size, grid)
            yield _Bags(own, *entries)


def _entries(
    rois: Tensor,
    sides: Tensor,
    samples: tuple[int, int],
    size: tuple[int, int],
    grid: RoIGrid,
) -> tuple[Tensor, Tensor]:
    """Compute pixels and weights of all samples, each (k * bins, samples * 4)."""
    along_h = _offsets(sides[:, 1], grid.height, samples[0])[:, :, None, :, None]
    along_w = _offsets(sides[:, 0], grid.width, samples[1])[:, None, :, None, :]
    angle = rois[:, 5, None, None, None, None].double()
    angle = -angle if grid.clockwise else angle
    # Correctly rounded as in the C library: another last digit moves a sample by 1e-5.
    cos, sin = angle.cos().to(rois), angle.sin().to(rois)
    half = 0.5 if grid.aligned else 0.0
    centre = rois[:, 1:3, None, None, None, None] * grid.spatial_scale - half
    y = along_h * cos - along_w * sin + centre[:, 1]
    x = along_h * sin + along_w * cos + centre[:, 0]

    height, width = size
    # Samples up to one pixel outside take the value of the border, others count as 0.
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    above, below, wy = _neighbours(torch.where(inside, y, 0), height)
    left, right, wx = _neighbours(torch.where(inside, x, 0), width)
    images = rois[:, 0].long()[:, None, None, None, None]
    above, below = ((images * height + row) * width for row in (above, below))
    pixels = torch.stack((above + left, above + right, below + left, below + right), -1)
    share = inside / (samples[0] * samples[1])
    up, down = (1 - wy) * share, wy * share
    weights = torch.stack((up * (1 - wx), up * wx, down * (1 - wx), down * wx), -1)
    return pixels.flatten(3).flatten(0, 2), weights.flatten(3).flatten(0, 2)


def _offsets(sides: Tensor, bins: int, samples: int) -> Tensor:
    """Positions of samples along one side, from the centre, (k, bins, samples)."""
    sides = sides[:, None, None]
    step = sides / bins
    index = torch.arange(bins, device=sides.device)[:, None]
    part = torch.arange(samples, device=sides.device) + 0.5
    return -sides / 2 + index * step + part * step / samples


def _neighbours(position: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels around a position along one axis, and the share of the second."""
    position = position.clamp(0, count - 1)
    low = position.floor()
    index = low.long()
    return index, (index + 1).clamp(max=count - 1), position - low
