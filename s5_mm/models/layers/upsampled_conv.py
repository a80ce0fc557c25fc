"""A 3x3 convolution of a map that is upsampled first, evaluated where the map is small.

Upsampling mixes pixels and a convolution's tap mixes channels, so they commute: nine
1x1 convolutions at low resolution, then upsample, shift and add, give what upsampling
and convolving give, for 1/4, 1/16, 1/64 of the multiply-adds at factors 2, 4, 8.
Bilinear interpolation is one of columns and one of rows, so the three taps of a row are
added between them: a third of the maps goes through the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
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
    rows = _ShiftAdd.apply(wide.unflatten(1, (3, 3, out_channels)), 2, -1).flatten(1, 2)
    tall = _resize(rows, (height, width), align_corners)
    return _ShiftAdd.apply(tall.unflatten(1, (3, out_channels)), 1, -2)


def _resize(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Upsample (N, K, h, w) bilinearly."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size, mode='bilinear', align_corners=align_corners)


class _ShiftAdd(torch.autograd.Function):
    """Adds the results of three taps, each where it belongs.

    Three passes over the maps forward and three backward, in the layout of ``x``.
    Padding, adding and their gradients took ten each and left channels-last maps in the
    other layout; together they were half of :func:`conv3x3_of_upsampled` on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: int, dim: int) -> Tensor:
        """Add them.

        Args:
            ctx: Of autograd.
            x: Results of the taps before, at and behind a pixel along dimension
                ``taps``.
            taps: That dimension.
            dim: Dimension of the map along which they lie, counted from the end.

        Returns:
            ``x`` without dimension ``taps``.
        """
        ctx.taps, ctx.dim, ctx.shape, ctx.stride = taps, dim, x.shape, x.stride()
        before, at, behind = x.unbind(taps)
        inner = x.shape[dim] - 1
        out = at.clone()
        # Where the tap's pixel lies outside of the map there is a zero.
        out.narrow(dim, 1, inner).add_(before.narrow(dim, 0, inner))
        out.narrow(dim, 0, inner).add_(behind.narrow(dim, 1, inner))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Hand the gradient to the taps, shifted back, in the layout of ``x``."""
        dim = ctx.dim
        out = grad.new_empty_strided(ctx.shape, ctx.stride)
        before, at, behind = out.unbind(ctx.taps)
        inner = grad.shape[dim] - 1
        before.narrow(dim, 0, inner).copy_(grad.narrow(dim, 1, inner))
        before.narrow(dim, inner, 1).zero_()
        at.copy_(grad)
        behind.narrow(dim, 1, inner).copy_(grad.narrow(dim, 0, inner))
        behind.narrow(dim, 0, 1).zero_()
        return out, None, None
