"""A 3x3 convolution of a map that is upsampled first, evaluated where the map is small.

Upsampling mixes pixels and a convolution's tap mixes channels, so they commute: nine
1x1 convolutions at low resolution, then upsample, shift and add, give what upsampling
and convolving give, for 1/4, 1/16, 1/64 of the multiply-adds at factors 2, 4, 8.
Bilinear interpolation is one of columns and one of rows, so the three taps of a row are
added between them: a third of the maps goes through the second.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def conv3x3_of_upsampled(
    x: Tensor, weight: Tensor, size: Sequence[int], align_corners: bool = False
) -> Tensor:
    """Upsample bilinearly and convolve, with zeros around the upsampled map.

    Args:
        x: Map at low resolution, (N, C, h, w).
        weight: Of a 3x3 convolution with padding 1, (K, C, 3, 3).
        size: (H, W) to which the map is upsampled.
        align_corners: Of the upsampling.

    Returns:
        (N, K, H, W).
    """
    out_channels, in_channels = weight.shape[:2]
    height, width = size
    # Channels of the product: tap's row, tap's column, K.
    taps = weight.permute(2, 3, 0, 1).reshape(9 * out_channels, in_channels, 1, 1)
    small = F.conv2d(x, taps)
    wide = _resize(small, (x.shape[-2], width), align_corners)
    rows = _shift_add(wide.unflatten(1, (3, 3, out_channels)), 2, -1).flatten(1, 2)
    tall = _resize(rows, (height, width), align_corners)
    return _shift_add(tall.unflatten(1, (3, out_channels)), 1, -2)


def _resize(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Upsample (N, K, h, w) bilinearly."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size, mode='bilinear', align_corners=align_corners)


def _shift_add(x: Tensor, taps: int, dim: int) -> Tensor:
    """Add the results of three taps, each where it belongs.

    Args:
        x: Results of the taps before, at and behind a pixel along dimension ``taps``.
        taps: That dimension.
        dim: Dimension of the map along which they lie, counted from the end.

    Returns:
        ``x`` without dimension ``taps``.
    """
    before, at, behind = x.unbind(taps)
    length = x.shape[dim]
    ahead = [0, 0] * (-1 - dim)
    # Where the tap's pixel lies outside of the map there is a zero.
    before = F.pad(before.narrow(dim, 0, length - 1), [*ahead, 1, 0])
    behind = F.pad(behind.narrow(dim, 1, length - 1), [*ahead, 0, 1])
    return before + at + behind
