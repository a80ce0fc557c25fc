"""Losses over pixels."""

from .decode_losses import check_losses, decode_losses, loss_parts, own_cross_entropy
from .pixel_cross_entropy import (
    PixelCrossEntropy,
    mean_over_pixels,
    pixel_cross_entropy,
    upsample,
)

__all__ = [
    'PixelCrossEntropy',
    'check_losses',
    'decode_losses',
    'loss_parts',
    'mean_over_pixels',
    'own_cross_entropy',
    'pixel_cross_entropy',
    'upsample',
]
