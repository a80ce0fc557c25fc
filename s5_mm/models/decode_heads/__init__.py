"""Decode heads for segmentation."""

from .uper_head import UPerHead

__all__ = ['UPerHead']
