"""Building blocks of the backbones and heads."""

from .attention import SelfAttention
from .conv_transpose import ConvTranspose2x2, conv_transpose2x2
from .drop_path import DropPath
from .feed_forward import FeedForward
from .ffn_moe import FFNMoE
from .linear import Linear, conv1x1, linear
from .mixture_linear import mixture_linear
from .patch_embed import PatchEmbed
from .pending_upsample import PendingUpsample, evaluated
from .position_embedding import PositionInterpolator, fit_pos_embed
from .sync_batch_norm import SyncBatchNorm
from .transformer_layer import TransformerEncoderLayer
from .upsampled_conv import add_conv3x3_of_upsampled_
from .winograd_conv import conv3x3

__all__ = [
    'ConvTranspose2x2',
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
    'conv1x1',
    'conv3x3',
    'conv_transpose2x2',
    'evaluated',
    'fit_pos_embed',
    'linear',
    'mixture_linear',
]
