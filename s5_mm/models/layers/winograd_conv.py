"""A 3x3 convolution by Winograd's minimal filtering, for 1/4 of the multiplications.

F(4 x 4, 3 x 3): tiles of 6 x 6 pixels, which overlap by two, and the kernel are taken
to 36 numbers each by additions (``winograd_transforms.py``); their products, one matrix
product over the channels for each of the 36, are taken back to 4 x 4 pixels.  The
function is that of the convolution; only rounding differs.

oneDNN has no such kernel any more, so it saves time in fp32 on a CPU.  Measured (one
thread of an AMD EPYC with AVX-512, torch 2.15, 2 x 256 x 128 x 128 to 256 channels,
channels-last, by hand): 165 to 178 ms forward and 514 to 541 with both gradients,
against 349 to 353 and 1195 to 1213 of oneDNN's convolution.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .linear import use_onednn
from .winograd_transforms import (
    transform_back,
    transform_data,
    transform_gradient,
    transform_kernel,
    transform_kernel_back,
)

# Bytes of the numbers of the rows of tiles that are worked on together, at most; the
# products take as much. Eight rows of a map 128 pixels wide with 256 channels; both
# passes with four and with sixteen take 8 and 6 % longer, by hand.
_TILE_BYTES = 10 * 2**20
# Below, additions cost more than products save. By hand, four images, both passes: 64
# channels of 64 x 64 take 34 to 38 ms (35 as a convolution), 128 of 32 x 32 28 (34),
# 256 of 16 x 16 45 (33).
_MIN_PIXELS, _MIN_CHANNELS = 32 * 32, 128


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply ``F.conv2d(x, weight, bias, padding=1)`` of a 3 x 3 kernel.

    Args:
        x: (N, C, H, W), any float dtype and device.
        weight: (K, C, 3, 3).
        bias: (K,) or None.

    Returns:
        (N, K, H, W), in channels-last memory where it is Winograd's.
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
    """The convolution without bias, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Return (N, K, H, W) of (N, C, H, W) and (K, C, 3, 3)."""
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of map and kernel."""
        x, weight = ctx.saved_tensors
        need_x, need_weight = ctx.needs_input_grad
        turned = weight.flip(2, 3).transpose(0, 1)
        return (
            _convolve(grad, turned) if need_x else None,
            _weight_gradient(x, grad) if need_weight else None,
        )


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Return (N, K, H, W) of (N, C, H, W) and (K, C, 3, 3)."""
    reader, kernel = _TileReader(x), transform_kernel(weight)
    high, wide = reader.chunks * reader.rows, reader.wide
    size = (len(x), len(weight), 4 * high, 4 * wide)
    out = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    blocks = out.permute(0, 2, 3, 1).unflatten(2, (wide, 4))
    blocks = blocks.unflatten(1, (reader.chunks, reader.rows, 4))
    products = x.new_empty(36, reader.rows * wide, len(weight))
    numbers = products.view(6, 6, reader.rows, wide, len(weight))
    lines = x.new_empty(6, 4, *numbers.shape[2:])
    for image, of_image in enumerate(blocks):
        for chunk, block in enumerate(of_image):
            torch.bmm(reader.read(image, chunk).flatten(1, 2), kernel, out=products)
            for line, number in zip(lines, numbers, strict=True):
                transform_back(number, line)
            for column in range(4):
                transform_back(lines[:, column], block[:, :, :, column].unbind(1))
    return _crop(out, x.shape[-2:])


def _weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Return (K, C, 3, 3) of the map (N, C, H, W) and the gradient (N, K, H, W)."""
    reader = _TileReader(x)
    rows, wide = reader.rows, reader.wide
    blocks = grad.permute(0, 2, 3, 1)
    lower = 4 * rows * reader.chunks - grad.shape[2]
    right = 4 * wide - grad.shape[3]
    if lower or right:
        blocks = F.pad(blocks, (0, 0, 0, right, 0, lower))
    blocks = blocks.unflatten(1, (reader.chunks, rows, 4))
    lines = grad.new_empty(6, rows, 4 * wide, grad.shape[1])
    numbers = grad.new_empty(6, 6, rows, wide, grad.shape[1])
    total = grad.new_zeros(36, x.shape[1], grad.shape[1])
    for image, of_image in enumerate(blocks):
        for chunk, block in enumerate(of_image):
            transform_gradient(block.unbind(1), lines)
            for line, number in zip(lines, numbers, strict=True):
                transform_gradient(line.unflatten(1, (wide, 4)).unbind(2), number)
            tiles = reader.read(image, chunk).flatten(1, 2).transpose(1, 2)
            columns = numbers.flatten(0, 1).flatten(1, 2)
            torch.baddbmm(total, tiles, columns, out=total)
    return transform_kernel_back(total)


class _TileReader:
    """Takes pixels of a map to the numbers of their tiles, some rows at a time.

    Beyond the map there are zeros, and there are rows of tiles below it where they do
    not come out even.

    Args:
        x: (N, C, H, W).

    Attributes:
        rows: Of tiles, which are read together.
        chunks: So many times in an image.
        wide: Tiles of a row.
    """

    def __init__(self, x: Tensor) -> None:
        self.pixels = x.permute(0, 2, 3, 1)
        channels, height, width = x.shape[1:]
        high, self.wide = -(-height // 4), -(-width // 4)
        bytes_of_row = 36 * self.wide * channels * x.element_size()
        self.chunks = -(-high // max(_TILE_BYTES // bytes_of_row, 1))
        self.rows = -(-high // self.chunks)
        self._framed = x.new_zeros(4 * self.rows + 2, 4 * self.wide + 2, channels)
        self._lines = x.new_empty(6, self.rows, *self._framed.shape[1:])
        self._tiles = x.new_empty(6, 6, self.rows, self.wide, channels)

    def read(self, image: int, chunk: int) -> Tensor:
        """Return (36, rows, wide, C), which the next call overwrites."""
        pixels, framed = self.pixels[image], self._framed
        height, width = pixels.shape[:2]
        start = 4 * self.rows * chunk - 1
        first, last = max(start, 0), min(start + len(framed), height)
        framed[: first - start] = 0
        framed[first - start : last - start, 1 : 1 + width] = pixels[first:last]
        framed[last - start :] = 0
        end = 4 * self.rows
        transform_data([framed[i : i + end : 4] for i in range(6)], self._lines)
        end = 4 * self.wide
        for line, tiles in zip(self._lines, self._tiles, strict=True):
            transform_data([line[:, i : i + end : 4] for i in range(6)], tiles)
        return self._tiles.flatten(0, 1)


def _crop(x: Tensor, size: torch.Size) -> Tensor:
    """Cut a map to its first rows and columns, in channels-last memory."""
    if x.shape[-2:] == size:
        return x
    return x[..., : size[0], : size[1]].contiguous(memory_format=torch.channels_last)
