"""A transposed convolution that waits for the 1x1 convolution behind it.

The two finest levels of the simple feature pyramid end in a transposed convolution
D -> D, and all that UPerNet does with them first is a 1x1 convolution D -> 256.  With
nothing in between, both are one transposed convolution D -> 256 whose weight is their
product: the same numbers for a third (ViT-B) to a fifth (ViT-H) of the multiply-adds,
and without the map (N, D, H / 4, W / 4).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PendingUpsample:
    """A transposed convolution of stride and kernel 2 with its input.

    Stands for the map (N, D, h, w) that the convolution would give; heads that do not
    know it call :meth:`evaluate`.

    Args:
        x: Input of the convolution, (N, D, ceil(h / 2), ceil(w / 2)).
        conv: The convolution, kernel and stride 2.
        size: (h, w) of the result, at most twice that of ``x``; the rest is cut off.
    """

    def __init__(self, x: Tensor, conv: nn.ConvTranspose2d, size: tuple) -> None:
        self.x, self.conv, self.size = x, conv, tuple(size)

    @property
    def shape(self) -> torch.Size:
        """Shape of the map, (N, D, h, w)."""
        return torch.Size((len(self.x), self.conv.out_channels, *self.size))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, samples: slice) -> PendingUpsample:
        """Take some samples of the batch."""
        return PendingUpsample(self.x[samples], self.conv, self.size)

    def evaluate(self) -> Tensor:
        """Compute the map, (N, D, h, w)."""
        return self._crop(self.conv(self.x))

    def through(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Compute a 1x1 convolution of the map without the map.

        Args:
            weight: (C, D, 1, 1).
            bias: (C,) or None.

        Returns:
            (N, C, h, w), equal to the two convolutions up to rounding.
        """
        # The product of the weights is small, and under autocast would lose bits.
        with _full_precision(self.x.device.type):
            mix = weight.flatten(1)
            product = torch.einsum('dkij,ck->dcij', self.conv.weight, mix)
            if self.conv.bias is not None:
                constant = mix @ self.conv.bias
                bias = constant if bias is None else bias + constant
        return self._crop(F.conv_transpose2d(self.x, product, bias, stride=2))

    def _crop(self, x: Tensor) -> Tensor:
        """Cut off what is beyond the image."""
        return x[..., : self.size[0], : self.size[1]]


def _full_precision(device: str) -> AbstractContextManager:
    """Switch autocast off where there is one (not on the meta device)."""
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def evaluated(features: Any) -> list[Tensor]:
    """Compute the maps among features that are pending."""
    return [f.evaluate() if isinstance(f, PendingUpsample) else f for f in features]
