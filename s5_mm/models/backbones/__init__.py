"""The backbones of s5_mm."""

from .timm_backbone import TimmBackbone
from .vit import ViT
from .vit_arch import ARCHS, ViTArch, resolve_arch
from .vit_moe import ViTMoE
from .vit_rvsa import ViTRVSA

__all__ = [
    'ARCHS',
    'TimmBackbone',
    'ViT',
    'ViTArch',
    'ViTMoE',
    'ViTRVSA',
    'resolve_arch',
]
