"""The backbones of s5_mm."""

from .vit import ViT
from .vit_arch import ARCHS, ViTArch, resolve_arch

__all__ = ['ARCHS', 'ViT', 'ViTArch', 'resolve_arch']
