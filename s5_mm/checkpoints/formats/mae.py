"""Masked autoencoders and the remote-sensing models that were trained with their code.

The encoders are timm's ViT; what else is in a file tells them apart, and belongs to
pre-training alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

from .plain_vit import PlainViT


class MAE(PlainViT):
    """Masked autoencoder as published by Meta; the MillionAID line S5 starts from."""

    name = 'mae'
    title = "MAE: Meta's, and those trained with its code, as MillionAID's"
    #: Starts of names that a file of this format must have, each at least once.
    marks: tuple[str, ...] = ('mask_token', 'decoder_')
    #: Starts of names that only pre-training uses.
    pretraining: tuple[str, ...] = ('mask_token', 'decoder_')

    def matches(self, names: Collection[str]) -> bool:
        """Match timm's names of a ViT, at the top, with the marks beside them."""
        return 'patch_embed.proj.weight' in names and all(
            any(name.startswith(mark) for name in names) for mark in self.marks
        )

    def rename(self, names: Collection[str]) -> dict[str, str]:
        """Translate the names of the encoder."""
        return super().rename([n for n in names if not n.startswith(self.pretraining)])


class SatMAEpp(MAE):
    """SatMAE++ for RGB: MAE with an upsampling decoder."""

    name = 'satmae'
    title = 'SatMAE++ (RGB)'
    marks = ('proj_up_conv.',)
    pretraining = (*MAE.pretraining, 'proj_up_', 'up_block.')


class SelectiveMAE(MAE):
    """SelectiveMAE: MAE with a cross-attention decoder and a token selection."""

    name = 'selectivemae'
    title = 'SelectiveMAE'
    marks = ('decoder_embed1.',)
    pretraining = (*MAE.pretraining, 'pos_embed_probs', 'get_token_probs', 'hog.')


class MA3E(MAE):
    """MA3E: MAE with a rotated crop, marked by an embedding that inference lacks."""

    name = 'ma3e'
    title = 'MA3E'
    marks = ('angle_embed',)
    pretraining = (*MAE.pretraining, 'angle_embed')


class ScaleMAE(MAE):
    """Scale-MAE, whose position embedding is computed from the ground resolution.

    The original scales the positions by the resolution of an image over that of its
    reference and never reads the stored embedding.  Here it is computed for one ratio
    and a grid of 32 x 32, images of 512 px: the file's 14 x 14 interpolated to that
    grid would be the embedding of a resolution that is 2.3 times finer.

    Attributes:
        ratio: Resolution of the images over the reference, the original's
            ``input_res``.
        grid: Rows and columns.
    """

    name = 'scalemae'
    title = 'Scale-MAE'
    marks = ('mask_token_decoder',)
    pretraining = (*MAE.pretraining, 'fpn.', 'fcn', 'pos_emb_projection.')
    ratio = 1.0
    grid = 32

    def adapt(self, state: dict[str, Tensor]) -> list[str]:
        """Compute the position embedding as the original's encoder does."""
        width = state['backbone.patch_embed.projection.weight'].shape[0]
        state['backbone.pos_embed'] = scaled_sincos(width, self.grid, self.ratio)
        return [
            f'position embedding computed for {self.grid} x {self.grid} patches at '
            f'{self.ratio} times the reference resolution, as the original does'
        ]


def scaled_sincos(width: int, grid: int, ratio: float = 1.0) -> Tensor:
    """Compute MAE's sine-cosine embedding of positions in a scaled grid.

    Args:
        width: Channels C, a multiple of 4.
        grid: Rows and columns.
        ratio: Distance between neighbouring positions.

    Returns:
        (1, grid * grid, C) fp32, row-major: sines and cosines of the column, then
        those of the row.
    """
    steps = torch.arange(width // 4, dtype=torch.float64) / (width / 4)
    frequencies = torch.exp(-math.log(10_000) * steps)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * ratio * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns = line.repeat(grid, 1)
    rows = line.repeat_interleave(grid, dim=0)
    return torch.cat([columns, rows], dim=1).float()[None]
