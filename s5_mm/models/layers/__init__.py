"""Building blocks of the backbones and heads."""

from .attention import SelfAttention
from .drop_path import DropPath
from .feed_forward import FeedForward
from .linear import Linear, linear
from .patch_embed import PatchEmbed
from .position_embedding import PositionInterpolator, fit_pos_embed
from .sync_batch_norm import SyncBatchNorm
from .transformer_layer import TransformerEncoderLayer

__all__ = [
    'DropPath',
    'FeedForward',
    'Linear',
    'PatchEmbed',
    'PositionInterpolator',
    'SelfAttention',
    'SyncBatchNorm',
    'TransformerEncoderLayer',
    'fit_pos_embed',
    'linear',
]
