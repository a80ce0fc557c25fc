"""Building blocks of the backbones and heads."""

from .attention import SelfAttention
from .drop_path import DropPath
from .feed_forward import FeedForward
from .ffn_moe import FFNMoE
from .linear import Linear, linear
from .patch_embed import PatchEmbed
from .pending_upsample import PendingUpsample, evaluated
from .position_embedding import PositionInterpolator, fit_pos_embed
from .sync_batch_norm import SyncBatchNorm
from .transformer_layer import TransformerEncoderLayer
from .upsampled_conv import add_conv3x3_of_upsampled_

__all__ = [
    'DropPath',
    'FFNMoE',
    'FeedForward',
    'Linear',
    'PatchEmbed',
    'PendingUpsample',
    'PositionInterpolator',
    'SelfAttention',
    'SyncBatchNorm',
    'TransformerEncoderLayer',
    'add_conv3x3_of_upsampled_',
    'evaluated',
    'fit_pos_embed',
    'linear',
]
