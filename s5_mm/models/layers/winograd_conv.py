"""A 3x3 convolution by Winograd's minimal filtering, for 4/9 of the multiplications.

F(2 x 2, 3 x 3) of Lavin and Gray (2016): tiles of 4 x 4 pixels, which overlap by two,
and the kernel are taken to 16 numbers each by additions; their products, one matrix
product over the channels for each of the 16, are taken back to 2 x 2 pixels by
additions.  The function is that of the convolution; only rounding differs.

oneDNN has no such kernel any more, so it saves time in fp32 on a CPU.  Measured (one
thread of an AMD EPYC with AVX-512, torch 2.15, 2 x 256 x 128 x 128 to 256 channels,
channels-last, by hand): 267 ms forward and 772 with both gradients, against 359 and
1233 of oneDNN's convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .linear import matmul_nt, matmul_tn, use_onednn

# Of the kernel: 3 numbers to 4.
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
# Rows of tiles that are worked on together: 16 x 1024 tiles x 256 channels of a map of
# 128 x 128 are 17 MB, half of a last-level cache of 32 MB and below what glibc asks
# new pages for.
_TILE_ROWS = 16
# Below, additions cost more than products save.  By hand, four images, both passes: 128
# channels of 64 x 64 take 150 ms (142 as a convolution), 192 of 32 x 32 85 (76), 256 of
# 32 x 32 126 (133), 256 of 16 x 16 48 (35).
_MIN_PIXELS, _MIN_CHANNELS = 32 * 32, 256


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply ``F.conv2d(x, weight, bias, padding=1)`` of a 3 x 3 kernel.

    Args:
        x: (N, C, H, W), any float dtype and device.
        weight: (K, C, 3, 3).
        bias: (K,) or None.

    Returns:
        (N, K, H, W).
    """
    large = (
        x.shape[-2] * x.shape[-1] >= _MIN_PIXELS
        and min(weight.shape[:2]) >= _MIN_CHANNELS
    )
    if not (large and use_onednn(x, weight)):
        return F.conv2d(x, weight, bias, padding=1)
    out = Winograd.apply(x, weight)
    return out if bias is None else out + bias[:, None, None]


class Winograd(torch.autograd.Function):
    """The convolution without bias, and its gradient, some rows of tiles at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Return (N, K, H, W) of (N, C, H, W) and (K, C, 3, 3)."""
        ctx.save_for_backward(x, weight)
        batch, _, height, width = x.shape
        padded, kernel = _pad(x), _transform_kernel(weight)
        even = (padded.shape[1] - 2, padded.shape[2] - 2)
        out = torch.empty(
            (batch, len(weight), *even),
            dtype=x.dtype,
            memory_format=torch.channels_last,
        )
        pixels = out.permute(0, 2, 3, 1)
        for image, rows in _chunks(batch, even[0]):
            tiles = _to_tiles(padded[image, rows.start : rows.stop + 2])
            _to_pixels(_products(tiles, kernel), pixels[image, rows])
        if even == (height, width):
            return out
        return out[..., :height, :width].contiguous(memory_format=torch.channels_last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of map and kernel: the adjoint of each step."""
        x, weight = ctx.saved_tensors
        need_x, need_weight = ctx.needs_input_grad
        padded, kernel = _pad(x), _transform_kernel(weight)
        columns = kernel.transpose(1, 2).contiguous()
        even = (padded.shape[1] - 2, padded.shape[2] - 2)
        pixels = grad.permute(0, 2, 3, 1)
        if pixels.shape[1:3] != even:
            extra = (0, 0, 0, even[1] - grad.shape[3], 0, even[0] - grad.shape[2])
            pixels = F.pad(pixels, extra)
        grad_x = torch.zeros_like(padded) if need_x else None
        grad_kernel = torch.zeros_like(kernel)
        for image, rows in _chunks(len(x), even[0]):
            read = slice(rows.start, rows.stop + 2)
            numbers = _from_pixels(pixels[image, rows])
            if need_weight:
                tiles = _to_tiles(padded[image, read])
                for total, a, b in zip(grad_kernel, numbers, tiles, strict=True):
                    total += matmul_tn(a.flatten(0, 1), b.flatten(0, 1))
            if need_x:
                _from_tiles(_products(numbers, columns), grad_x[image, read])
        height, width = x.shape[-2:]
        if need_x:
            grad_x = grad_x[:, 1 : 1 + height, 1 : 1 + width].permute(0, 3, 1, 2)
        return grad_x, _transform_kernel_back(grad_kernel) if need_weight else None


def _products(tiles: Tensor, kernel: Tensor) -> list[list[Tensor]]:
    """Multiply tiles (16, h, w, C) by a kernel (16, K, C): 4 lists of 4 (h, w, K)."""
    products = [matmul_nt(tile, part) for tile, part in zip(tiles, kernel, strict=True)]
    return [products[row : row + 4] for row in range(0, 16, 4)]


def _chunks(batch: int, height: int) -> Iterator[tuple[int, slice]]:
    """Cut images into rows of pixels that are worked on together."""
    step = 2 * _TILE_ROWS
    for image in range(batch):
        for first in range(0, height, step):
            yield image, slice(first, min(first + step, height))


def _pad(x: Tensor) -> Tensor:
    """Give (N, C, H, W) a border and even sides: (N, H' + 2, W' + 2, C)."""
    height, width = x.shape[-2:]
    return F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + width % 2, 1, 1 + height % 2))


def _transform_kernel(weight: Tensor) -> Tensor:
    """Take (K, C, 3, 3) to (16, K, C)."""
    g = weight.new_tensor(_KERNEL)
    return torch.einsum('ia,jb,kcab->ijkc', g, g, weight).flatten(0, 1).contiguous()


def _transform_kernel_back(grad: Tensor) -> Tensor:
    """Take the gradient (16, K, C) to that of (K, C, 3, 3)."""
    g = grad.new_tensor(_KERNEL)
    return torch.einsum('ia,jb,ijkc->kcab', g, g, grad.unflatten(0, (4, 4)))


def _to_tiles(rows: Tensor) -> Tensor:
    """Take pixels (2 h + 2, 2 w + 2, C) to numbers of tiles, (16, h, w, C)."""
    height, width = rows.shape[0] // 2 - 1, rows.shape[1] // 2 - 1
    tiles = rows.new_empty(4, 4, height, width, rows.shape[2])
    first, second, third, fourth = (rows[i : i + 2 * height : 2] for i in range(4))
    lines = (first - third, second + third, third - second, second - fourth)
    for line, out in zip(lines, tiles, strict=True):
        a, b, c, d = (line[:, i : i + 2 * width : 2] for i in range(4))
        torch.sub(a, c, out=out[0])
        torch.add(b, c, out=out[1])
        torch.sub(c, b, out=out[2])
        torch.sub(b, d, out=out[3])
    return tiles.flatten(0, 1)


def _from_tiles(grad: list[list[Tensor]], rows: Tensor) -> None:
    """Add the gradient of :func:`_to_tiles`, (h, w, C) each, to that of its pixels."""
    height, width, channels = grad[0][0].shape
    lines = []
    for tile in grad:
        line = tile[0].new_zeros(height, 2 * width + 2, channels)
        a, b, c, d = (line[:, i : i + 2 * width : 2] for i in range(4))
        a.add_(tile[0])
        b.add_(tile[1]).sub_(tile[2]).add_(tile[3])
        c.sub_(tile[0]).add_(tile[1]).add_(tile[2])
        d.sub_(tile[3])
        lines.append(line)
    first, second, third, fourth = (rows[i : i + 2 * height : 2] for i in range(4))
    first.add_(lines[0])
    second.add_(lines[1]).sub_(lines[2]).add_(lines[3])
    third.sub_(lines[0]).add_(lines[1]).add_(lines[2])
    fourth.sub_(lines[3])


def _to_pixels(products: list[list[Tensor]], out: Tensor) -> None:
    """Take the numbers of the tiles, (h, w, K) each, to their pixels, (2 h, 2 w, K)."""
    a, b, c, d = products
    upper = [(x + y).add_(z) for x, y, z in zip(a, b, c, strict=True)]
    lower = [(x - y).sub_(z) for x, y, z in zip(b, c, d, strict=True)]
    for start, (first, second, third, fourth) in enumerate((upper, lower)):
        rows = out[start::2]
        torch.add(first, second, out=rows[:, ::2]).add_(third)
        torch.sub(second, third, out=rows[:, 1::2]).sub_(fourth)


def _from_pixels(grad: Tensor) -> Tensor:
    """Take the gradient (2 h, 2 w, K) of :func:`_to_pixels` to that of the tiles."""
    height, width = grad.shape[0] // 2, grad.shape[1] // 2
    tiles = grad.new_empty(4, 4, height, width, grad.shape[2])
    even, odd = grad[::2], grad[1::2]
    for line, out in zip((even, even + odd, even - odd, -odd), tiles, strict=True):
        left, right = line[:, ::2], line[:, 1::2]
        out[0] = left
        torch.add(left, right, out=out[1])
        torch.sub(left, right, out=out[2])
        torch.neg(right, out=out[3])
    return tiles.flatten(0, 1)
