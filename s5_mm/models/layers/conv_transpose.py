"""Transposed convolution that doubles both sides of a map, as a matrix product.

With kernel and stride 2 no two pixels of the input meet in one of the output: the
operation is a linear map D -> 4 C of every pixel, and its results, laid out as 2 x 2
pixels.  Measured (one thread of an AMD EPYC, torch 2.15, fp32, 2 x 768 x 64 x 64 to 256
channels, channels-last): oneDNN's backward pass takes 770 to 835 ms for what 106
GFLOP/s, the speed of the forward pass, would do in 245.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .linear import linear, use_onednn


def conv_transpose2x2(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply ``F.conv_transpose2d(x, weight, bias, stride=2)`` of a 2 x 2 kernel.

    Args:
        x: (N, D, h, w), any float dtype and device.
        weight: (D, C, 2, 2).
        bias: (C,) or None.

    Returns:
        (N, C, 2 h, 2 w), in channels-last memory where it is a matrix product.
    """
    if not use_onednn(x, weight):
        return F.conv_transpose2d(x, weight, bias, stride=2)
    batch, in_channels, height, width = x.shape
    out_channels = weight.shape[1]
    # Rows of the product: row and column in the square of 2 x 2 pixels, channel.
    rows = weight.permute(2, 3, 1, 0).reshape(4 * out_channels, in_channels)
    tiled = None if bias is None else bias.repeat(4)
    squares = linear(x.permute(0, 2, 3, 1), rows, tiled)
    squares = squares.view(batch, height, width, 2, 2, out_channels)
    pixels = squares.transpose(2, 3).reshape(batch, 2 * height, 2 * width, out_channels)
    return pixels.permute(0, 3, 1, 2)


class ConvTranspose2x2(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` of kernel and stride 2, same parameters and keys.

    Args:
        in_channels: D.
        out_channels: C.
        bias: Whether it has one.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, D, h, w) to (N, C, 2 h, 2 w)."""
        return conv_transpose2x2(input, self.weight, self.bias)
