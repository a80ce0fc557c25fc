"""The backbones of s5_mm."""

from .vit import ViT
from .vit_arch import ARCHS, ViTArch, resolve_arch
from .vit_moe import ViTMoE

__all__ = ['ARCHS', 'ViT', 'ViTArch', 'ViTMoE', 'resolve_arch']
