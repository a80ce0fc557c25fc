"""Losses over pixels."""

from .pixel_cross_entropy import (
    PixelCrossEntropy,
    mean_over_pixels,
    pixel_cross_entropy,
    upsample,
)

__all__ = [
    'PixelCrossEntropy',
    'mean_over_pixels',
    'pixel_cross_entropy',
    'upsample',
]
