"""The necks of s5_mm."""

from .simple_feature_pyramid import (
    STRIDES,
    LayerNorm2d,
    build_feature_pyramid,
    crop_to_stride,
    ends_in_upsampling,
    pending_level,
)

__all__ = [
    'STRIDES',
    'LayerNorm2d',
    'build_feature_pyramid',
    'crop_to_stride',
    'ends_in_upsampling',
    'pending_level',
]
