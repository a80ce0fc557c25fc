"""Plain vision transformer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from s5_mm.checkpoints.loading import load_into
from s5_mm.checkpoints.schemes import load_address
from s5_mm.models.layers import (
    FeedForward,
    PatchEmbed,
    PendingUpsample,
    PositionInterpolator,
    TransformerEncoderLayer,
    fit_pos_embed,
)
from s5_mm.models.necks import (
    STRIDES,
    build_feature_pyramid,
    crop_to_stride,
    ends_in_upsampling,
    pending_level,
)
from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_number

from .vit_arch import resolve_arch


@MODELS.register_module()
class ViT(BaseModule):
    """Plain ViT with the four-stride feature pyramid of the official release.

    Parameter names are those of the release and of mmseg's ViT, so official, MAE and
    mmseg weights load; ``pos_embed`` holds no slot for a class token. Images of any
    size are taken: sides are padded to whole patches (right, bottom) and the maps cut
    back to what a convolutional backbone of the same strides returns, so that a head
    which resizes its logits to the image stays aligned; position embeddings are
    interpolated (bicubic).

    Args:
        arch: 't', 's', 'b', 'l', 'h', 'g', or a dict (see :func:`resolve_arch`).
        img_size: Size in pixels whose grid ``pos_embed`` has: side, or (H, W).
        patch_size: Side of a patch in pixels, 16 for every model of the paper.
        in_channels: Channels of the image.
        out_indices: Layers that are tapped, 0-based; default: the architecture's.
        drop_path_rate: Stochastic depth of the last layer; grows linearly from 0.
        drop_path_attn: Drop attention branches too. The release does not.
        norm_eps: Epsilon of the LayerNorms: 1e-6 as in MAE; the release uses 1e-5.
        final_norm: Normalise the output of the last layer (``ln``); other taps and the
            release have no norm.
        with_cls_token: Put a class token into the sequence (never into the maps).
        with_fpn: Return the pyramid; False returns the bare taps.
        with_cp: Recompute each layer in the backward pass instead of storing it.
        frozen_stages: What is not trained, in eval mode without gradients: 0 the
            embeddings, n the first n layers too, -1 nothing.  All layers leave the
            pyramid, which no pre-training knows, to be trained.
        deferred_upsampling: Hand levels that end in a transposed convolution over with
            it pending, see :class:`s5_mm.models.layers.PendingUpsample`, for a
            ``s5_mm.UPerHead``; other heads need False.
        init_cfg: ``dict(type='Pretrained', checkpoint=path)`` reads weights of any
            format in :data:`s5_mm.checkpoints.FORMATS` (recognised by their keys; an
            optional ``prefix`` selects a part of the file) from a path, an
            ``http(s)://`` or ``hf://`` address.

    Raises:
        ValueError: An argument is outside its range; the message says which.
    """

    def __init__(
        self,
        arch: str | Mapping[str, object] = 'b',
        img_size: int | tuple[int, int] = 512,
        patch_size: int = 16,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        drop_path_rate: float = 0.1,
        drop_path_attn: bool = False,
        norm_eps: float = 1e-6,
        final_norm: bool = False,
        with_cls_token: bool = False,
        with_fpn: bool = True,
        with_cp: bool = False,
        frozen_stages: int = -1,
        deferred_upsampling: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.deferred_upsampling = deferred_upsampling
        self.arch = resolve_arch(arch, out_indices)
        self.embed_dims = dims = self.arch.embed_dims
        self.out_indices = self.arch.out_indices
        self.patch_size = patch_size
        self.with_cp = with_cp
        height, width = (img_size,) * 2 if isinstance(img_size, int) else img_size
        if height % patch_size or width % patch_size or min(height, width) <= 0:
            raise ValueError(
                f'img_size={img_size} must be whole patches of {patch_size} pixels'
            )
        self.grid = (height // patch_size, width // patch_size)

        self.patch_embed = PatchEmbed(in_channels, dims, patch_size)
        self.cls_token = (
            nn.Parameter(torch.empty(1, 1, dims)) if with_cls_token else None
        )
        self.pos_embed = nn.Parameter(torch.empty(1, self.grid[0] * self.grid[1], dims))
        self._interpolate = PositionInterpolator()
        rates = torch.linspace(0, drop_path_rate, self.arch.num_layers, device='cpu')
        self.layers = nn.ModuleList(
            self.make_layer(
                index,
                ffn=self.make_ffn(dims, int(dims * self.arch.mlp_ratio)),
                norm_eps=norm_eps,
                drop_path_rate=rate,
                drop_path_attn=drop_path_attn,
            )
            for index, rate in enumerate(rates.tolist())
        )
        self.ln = nn.LayerNorm(dims, eps=norm_eps) if final_norm else None
        self.with_fpn = with_fpn
        if with_fpn:
            if len(self.out_indices) != len(STRIDES):
                raise ValueError(
                    f'out_indices={list(self.out_indices)} must name '
                    f'{len(STRIDES)} layers, one per stride; with_fpn=False takes any'
                )
            self.fpn1, self.fpn2, self.fpn3, self.fpn4 = build_feature_pyramid(
                dims, patch_size
            )
        self._init_embeddings()
        depth = len(self.layers)
        why = ': -1 nothing, 0 the embeddings, n the first n layers too'
        self.frozen_stages = check_number(
            'frozen_stages', frozen_stages, -1, depth, whole=True, why=why
        )
        if frozen_stages >= 0:
            for part in (self.pos_embed, self.cls_token, *self._frozen()):
                if part is not None:
                    part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        """Modules that are not trained."""
        if self.frozen_stages < 0:
            return []
        last = [self.ln] if self.frozen_stages == len(self.layers) and self.ln else []
        return [self.patch_embed, *self.layers[: self.frozen_stages], *last]

    def train(self, mode: bool = True) -> ViT:
        """Set the mode; what is frozen stays in eval mode, without drop path."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of each map that :meth:`forward` returns."""
        return (self.embed_dims,) * len(self.out_indices)

    def make_layer(self, index: int, **settings: Any) -> nn.Module:
        """Build one layer; a ViT with another attention overrides this."""
        return TransformerEncoderLayer(self.embed_dims, self.arch.num_heads, **settings)

    def make_ffn(self, embed_dims: int, feedforward_channels: int) -> nn.Module:
        """Build the feed-forward part of one layer; a mixture overrides this."""
        return FeedForward(embed_dims, feedforward_channels)

    def _init_embeddings(self) -> None:
        """Draw position embedding and class token (std 0.02, MAE)."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    def init_weights(self) -> None:
        """Draw the weights, then read ``init_cfg``'s checkpoint as data.

        mmengine's own reading of ``Pretrained`` can execute a pickle and passes over
        a file that matches nothing; this one refuses both.

        Raises:
            CheckpointError: The file matches nothing, or a shape differs.
        """
        if self.is_init:
            super().init_weights()  # warns that this is the second call
            return
        self._init_embeddings()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        projection = self.patch_embed.projection
        nn.init.xavier_uniform_(projection.weight.flatten(1))
        if projection.bias is not None:
            nn.init.zeros_(projection.bias)
        config = self.init_cfg
        if isinstance(config, dict) and config.get('type') == 'Pretrained':
            path = config['checkpoint']
            prefix = config.get('prefix', '')
            load_into(self, load_address(path), source_name=path, prefix=prefix)
        elif config:
            super().init_weights()
        self._is_init = True

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object, **kwargs: object
    ) -> None:
        """Fit the stored position embedding to this model's grid, then load.

        The embedding of a class token's position, which MAE stores in slot 0, is added
        to the class token if the model has one (an exact fold) and dropped otherwise.
        """
        key, cls_key = prefix + 'pos_embed', prefix + 'cls_token'
        stored = state_dict.get(key)
        if stored is not None and stored.shape[1:] != self.pos_embed.shape[1:]:
            state_dict[key], slot = fit_pos_embed(stored, self.grid, key)
            foldable = self.cls_token is not None and cls_key in state_dict
            if foldable and slot is not None:
                state_dict[cls_key] = state_dict[cls_key] + slot
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images into positioned tokens (N, L, C) and the grid they cover."""
        x, grid = self.patch_embed(x)
        x = x + self._interpolate(self.pos_embed, self.grid, grid)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x, grid

    def forward_intermediates(
        self, x: Tensor, indices: Sequence[int] | None = None, **routing: Any
    ) -> list[Tensor]:
        """Return the outputs of chosen layers as maps, before any pyramid.

        Args:
            x: Normalised images (N, in_channels, H, W).
            indices: Layers, 0-based, ascending; default ``out_indices``. Layers after
                the last one are not run.
            **routing: Passed on to every feed-forward part.

        Returns:
            Maps (N, C, ceil(H / patch), ceil(W / patch)) in channels-last memory.
        """
        indices = self.out_indices if indices is None else tuple(indices)
        x, grid = self._embed(x)
        maps = []
        for index in range(indices[-1] + 1):
            if self.with_cp and torch.is_grad_enabled():
                x = checkpoint(self.layers[index], x, use_reentrant=False, **routing)
            else:
                x = self.layers[index](x, **routing)
            if index in indices:
                tap = x
                if self.ln is not None and index == len(self.layers) - 1:
                    tap = self.ln(tap)
                if self.cls_token is not None:
                    tap = tap[:, 1:]
                maps.append(tap.unflatten(1, grid).permute(0, 3, 1, 2))
        return maps

    def forward(
        self, x: Tensor, **routing: Any
    ) -> tuple[Tensor | PendingUpsample, ...]:
        """Extract features.

        Args:
            x: Normalised images (N, in_channels, H, W); any H and W of at least one
                cell of the coarsest level (32 pixels).
            **routing: Passed on to every feed-forward part; ignored by a dense one.

        Returns:
            Four maps (N, C, ceil(H / s), ceil(W / s)) for s of 4, 8, 16, 32 (the last
            floored), or with ``with_fpn=False`` the taps, all at the patch's stride;
            with ``deferred_upsampling`` what stands for the upsampled ones.  They are
            contiguous, unless they are for this package's head, which is faster on
            channels-last maps: mmcv's RoI operators read those in the wrong order,
            without an error.

        Raises:
            ValueError: Wrong number of channels, or an image below 32 pixels.
        """
        size = (x.shape[-2], x.shape[-1])
        maps = self.forward_intermediates(x, **routing)
        if not self.with_fpn:
            return tuple(self._in_layout(tap) for tap in maps)
        cells = STRIDES[-1] // self.patch_size
        if min(maps[0].shape[-2:]) < cells:
            raise ValueError(
                f'an image of {size[0]} x {size[1]} pixels is smaller than one cell of '
                f'the coarsest level, {STRIDES[-1]} pixels'
            )
        levels = (self.fpn1, self.fpn2, self.fpn3, self.fpn4)
        return tuple(
            pending_level(level, tap, size, stride)
            if self.deferred_upsampling and ends_in_upsampling(level)
            else self._in_layout(crop_to_stride(level(tap), size, stride))
            for level, tap, stride in zip(levels, maps, STRIDES, strict=True)
        )

    def _in_layout(self, level: Tensor) -> Tensor:
        """Bring a map in channels-last memory into the layout of :meth:`forward`."""
        return level if self.deferred_upsampling else level.contiguous()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Switch the recomputation of layers on or off (timm's name for it)."""
        self.with_cp = enable

    def no_weight_decay(self) -> set[str]:
        """Name the parameters that weight decay should leave alone."""
        return {'pos_embed', 'cls_token'}

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Tell the depth of a parameter, for layer-wise learning rates.

        Args:
            param_name: Full name of the parameter.
            prefix: What precedes the backbone's own names, e.g. ``'backbone.'``.

        Returns:
            (depth, number of depths): 0 for the embeddings, i + 1 for layer i, and the
            last, ``num_layers + 1``, for all that follows and for names outside.
        """
        total = len(self.layers) + 2
        if not param_name.startswith(prefix):
            return total - 1, total
        name = param_name[len(prefix) :]
        if name.startswith(('pos_embed', 'cls_token', 'patch_embed.')):
            return 0, total
        layer = re.match(r'layers\.(\d+)\.', name)
        return (int(layer[1]) + 1 if layer else total - 1), total
