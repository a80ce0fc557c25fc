"""A 3x3 convolution of a map that is upsampled first, evaluated where the map is small.

Upsampling mixes pixels and a convolution's tap mixes channels, so they commute: nine
1x1 convolutions at low resolution, then upsample, shift and add, give what upsampling
and convolving give, for 1/4, 1/16, 1/64 of the multiply-adds at factors 2, 4, 8.
Bilinear interpolation is one of columns and one of rows, so the three taps of a row are
added between them: a third of the maps goes through the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def add_conv3x3_of_upsampled_(
    total: Tensor, x: Tensor, weight: Tensor, align_corners: bool = False
) -> Tensor:
    """Upsample a map bilinearly, convolve it with zeros around, and add the result.

    Args:
        total: What is added to, (N, K, H, W); overwritten, but by a compiler.
        x: Map at low resolution, (N, C, h, w).
        weight: Of a 3x3 convolution with padding 1, (K, C, 3, 3).
        align_corners: Of the upsampling to (H, W).

    Returns:
        The sum, (N, K, H, W).
    """
    # Output channels of each row's convolution: tap's column, K.
    rows = weight.permute(2, 3, 0, 1).flatten(1, 2)
    taps = [F.conv2d(x, row[..., None, None]) for row in rows]
    return _AddTaps.apply(total, align_corners, *taps)


class _AddTaps(torch.autograd.Function):
    """Upsamples, shifts and adds the results of the taps.

    On a CPU image by image: most maps of a batch are beyond the 32 MiB from where on
    glibc asks the system for new pages each time, and filling those took nine times as
    long as filling old ones (43 and 5 ms for 100 MB).
    """

    @staticmethod
    def forward(ctx: Any, total: Tensor, align_corners: bool, *taps: Tensor) -> Tensor:
        """Add them.

        Args:
            ctx: Of autograd.
            total: (N, K, H, W).
            align_corners: Of the upsampling.
            *taps: Of each row of the kernel the results of its taps, (N, 3 K, h, w).

        Returns:
            (N, K, H, W).
        """
        ctx.align_corners, ctx.shape = align_corners, taps[0].shape
        ctx.layout = layout = _layout(total)
        if torch.compiler.is_compiling():
            total = total.clone()
        else:
            ctx.mark_dirty(total)
        height, width = total.shape[-2:]
        for images in _chunks(total):
            for row, results in enumerate(taps):
                small = results[images]
                wide = _resize(small, (small.shape[-2], width), align_corners)
                left, here, right = wide.unflatten(1, (3, -1)).unbind(1)
                line = here.clone(memory_format=layout)
                # Where the tap's pixel lies outside of the map there is a zero.
                line[..., 1:].add_(left[..., :-1])
                line[..., :-1].add_(right[..., 1:])
                tall = _resize(line, (height, width), align_corners)
                first, last = max(1 - row, 0), height - max(row - 1, 0)
                total[images, :, first:last].add_(
                    tall[:, :, first + row - 1 : last + row - 1]
                )
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Hand the gradient to the taps, shifted back."""
        batch, channels, *low = ctx.shape
        height, width = grad.shape[-2:]
        make = dict(dtype=grad.dtype, device=grad.device, memory_format=ctx.layout)
        empty = partial(torch.empty, **make)
        grads = [empty(ctx.shape) for _ in range(3)]
        for images in _chunks(grad):
            part = grad[images]
            framed = empty((*part.shape[:2], height + 2, width))
            framed[:, :, 1:-1] = part
            framed[:, :, 0] = framed[:, :, -1] = 0
            wide = empty((len(part), channels, low[0], width))
            left, here, right = wide.unflatten(1, (3, -1)).unbind(1)
            left[..., -1] = right[..., 0] = 0
            for row, out in enumerate(grads):
                tall = framed[:, :, 2 - row : 2 - row + height]
                line = _resize_backward(tall, (low[0], width), ctx.align_corners)
                left[..., :-1] = line[..., 1:]
                here.copy_(line)
                right[..., 1:] = line[..., :-1]
                out[images] = _resize_backward(wide, low, ctx.align_corners)
        return grad, None, *grads


def _layout(x: Tensor) -> torch.memory_format:
    """Return how a map lies in memory."""
    if x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def _chunks(x: Tensor) -> Iterator[slice]:
    """Return the parts of a batch that are worked on together."""
    step = len(x)
    if x.device.type == 'cpu' and not torch.compiler.is_compiling():
        step = 1
    return (slice(i, i + step) for i in range(0, len(x), step))


def _resize(x: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Upsample (N, K, h, w) bilinearly."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size, mode='bilinear', align_corners=align_corners)


def _resize_backward(grad: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Return the gradient (N, K, h, w) of what :func:`_resize` was given."""
    if tuple(grad.shape[-2:]) == tuple(size):
        return grad
    return torch.ops.aten.upsample_bilinear2d_backward(
        grad, grad.shape[-2:], (*grad.shape[:2], *size), align_corners
    )
