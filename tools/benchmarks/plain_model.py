"""The networks that ``benchmark_step.py`` compares with: mmcv's and mmseg's blocks.

Composed as the S5 release composes them: mmcv's ``MultiheadAttention`` and ``FFN`` in
mmseg's transformer layer, recomputed in the backward pass; mmseg's ``UPerHead``; logits
upsampled to the image.  Parameters have the names of this package's models, so that one
state dict fills both.  Left out is what costs nothing and does nothing: a class token
that the release joins and cuts off again, and a one-class layer that it never calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import FFN
from mmseg.models.backbones.vit import TransformerEncoderLayer
from mmseg.models.decode_heads import UPerHead
from mmseg.models.utils import PatchEmbed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from s5_mm.models.backbones.vit_arch import ViTArch
from s5_mm.models.necks import build_feature_pyramid

PATCH = 16


class PlainFFNMoE(FFN):
    """mmcv's ``FFN`` whose last channels come from the data set's expert.

    Args:
        part_features: Channels of an expert.
        datasets: Names of the data sets.
        **kwargs: Arguments of mmcv's ``FFN``.
    """

    def __init__(
        self, part_features: int, datasets: Sequence[str], **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        hidden = self.feedforward_channels
        self.layers[1] = nn.Linear(hidden, self.embed_dims - part_features)
        self.experts = nn.ModuleDict(
            {name: nn.Linear(hidden, part_features) for name in datasets}
        )

    def forward(self, x: Tensor, identity: Tensor, dataset: str) -> Tensor:
        """Apply the FFN to tokens (N, L, C) of one data set, with the residual."""
        hidden = self.layers[0](x)
        parts = [self.layers[1](hidden), self.experts[dataset](hidden)]
        return identity + torch.cat(parts, dim=-1)


class PlainLayer(TransformerEncoderLayer):
    """mmseg's layer, which also tells its FFN the data set where there are experts."""

    def forward(self, x: Tensor, dataset: str | None = None) -> Tensor:
        """Apply the layer to tokens (N, L, C)."""
        routing = {} if dataset is None else {'dataset': dataset}

        def inner(x: Tensor) -> Tensor:
            x = self.attn(self.norm1(x), identity=x)
            return self.ffn(self.norm2(x), identity=x, **routing)

        if self.with_cp and x.requires_grad:
            return checkpoint(inner, x, use_reentrant=True)
        return inner(x)


class ReleaseViT(nn.Module):
    """Plain ViT with the pyramid of the release.

    Args:
        arch: Sizes.
        img_size: Side of the images in pixels.
        norm_eps: Epsilon of the LayerNorms.
        recompute: Recompute each layer in the backward pass.
        datasets: Names of the data sets that have experts; none: dense.
        part_features: Channels of an expert.
    """

    def __init__(
        self,
        arch: ViTArch,
        img_size: int,
        norm_eps: float = 1e-5,
        recompute: bool = True,
        datasets: Sequence[str] = (),
        part_features: int = 256,
    ) -> None:
        super().__init__()
        dims, hidden = arch.embed_dims, int(arch.mlp_ratio * arch.embed_dims)
        self.out_indices = arch.out_indices
        self.patch_embed = PatchEmbed(
            in_channels=3, embed_dims=dims, kernel_size=PATCH, stride=PATCH
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, (img_size // PATCH) ** 2, dims))
        self.layers = nn.ModuleList(
            PlainLayer(
                dims,
                arch.num_heads,
                hidden,
                norm_cfg=dict(type='LN', eps=norm_eps),
                with_cp=recompute,
            )
            for _ in range(arch.num_layers)
        )
        if datasets:
            for layer in self.layers:
                layer.ffn = PlainFFNMoE(
                    part_features,
                    datasets,
                    embed_dims=dims,
                    feedforward_channels=hidden,
                    act_cfg=dict(type='GELU'),
                )
        self.fpn1, self.fpn2, self.fpn3, self.fpn4 = build_feature_pyramid(dims, PATCH)

    def forward(self, x: Tensor, dataset: str | None = None) -> list[Tensor]:
        """Extract features.

        Args:
            x: Normalised images (N, 3, S, S).
            dataset: Whose experts are used.

        Returns:
            Maps (N, C, S / s, S / s) for s of 4, 8, 16, 32.
        """
        x, grid = self.patch_embed(x)
        x = x + self.pos_embed
        maps = []
        for index, layer in enumerate(self.layers):
            x = layer(x, dataset)
            if index in self.out_indices:
                maps.append(x.transpose(1, 2).reshape(len(x), -1, *grid).contiguous())
        levels = (self.fpn1, self.fpn2, self.fpn3, self.fpn4)
        return [level(tap) for level, tap in zip(levels, maps, strict=True)]


class PlainSegmentor(nn.Module):
    """Backbone and one UPerHead, or one for each data set.

    Args:
        backbone: The ViT.
        width: Its width.
        classes: Number of classes, or those of each data set by name.
    """

    def __init__(
        self, backbone: ReleaseViT, width: int, classes: int | Mapping[str, int]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        if isinstance(classes, int):
            self.decode_head = _head(width, classes)
        else:
            self.decode_heads = nn.ModuleDict(
                {name: _head(width, count) for name, count in classes.items()}
            )

    def forward(self, x: Tensor, dataset: str | None = None) -> Tensor:
        """Compute logits at the size of the images.

        Args:
            x: Normalised images (N, 3, S, S), of one data set.
            dataset: Its name, for a model of several.

        Returns:
            (N, K, S, S).
        """
        head = self.decode_head if dataset is None else self.decode_heads[dataset]
        logits = head(self.backbone(x, dataset))
        return F.interpolate(logits, x.shape[-2:], mode='bilinear', align_corners=True)


def _head(width: int, classes: int) -> UPerHead:
    """Build mmseg's head as the release does, without dropout."""
    return UPerHead(
        in_channels=[width] * 4,
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=256,
        dropout_ratio=0.0,
        num_classes=classes,
        norm_cfg=dict(type='BN'),
        align_corners=False,
    )
