"""UPerNet's head without wasted work, its logits with a corner rule of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmseg.models.decode_heads as host
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.utils import resize
from torch import Tensor

from s5_mm.models.layers import (
    PendingUpsample,
    add_conv3x3_of_upsampled_,
    evaluated,
)
from s5_mm.registry import MODELS

Feature = Tensor | PendingUpsample


@MODELS.register_module()
class UPerHead(host.UPerHead):
    """mmseg's ``UPerHead``, same parameters and keys, for fewer multiply-adds.

    Two exact re-associations (ViT-B at 512 px: 178.1 GMAC become 140.2, and 1.2 once a
    step: 141.4 as ``tools/analysis_tools/get_flops.py`` counts):

    * The 1x1 lateral convolution of a level that a ViT with ``deferred_upsampling``
      hands over is fused with the transposed convolution before it.
    * The 3x3 convolution over all levels takes each upsampled one at its own
      resolution, see :func:`s5_mm.models.layers.add_conv3x3_of_upsampled_`.

    The S5 release upsamples the logits with aligned corners while everything inside
    the head is not aligned; mmseg has one switch for both.

    Args:
        align_corners: Of the upsampling of the logits: what mmseg's predictions and
            losses, and :class:`s5_mm.models.SemiBaseSegmentor`, read.
        inner_align_corners: Of the pooling pyramid and the top-down path.
        reassociate: False evaluates everything as mmseg does, for comparisons; so does
            a ``conv_cfg`` of another type than 'Conv2d'.
        **kwargs: Arguments of mmseg's ``UPerHead``.
    """

    def __init__(
        self,
        align_corners: bool = False,
        inner_align_corners: bool = False,
        reassociate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(align_corners=inner_align_corners, **kwargs)
        self.align_corners = align_corners
        self.inner_align_corners = inner_align_corners
        # Another kind of convolution does not commute with upsampling.
        plain = (self.conv_cfg or {}).get('type', 'Conv2d') in ('Conv2d', 'Conv')
        self.reassociate = reassociate and plain

    def _forward_feature(self, inputs: Sequence[Feature]) -> Tensor:
        """Fuse the maps.

        Args:
            inputs: Maps (N, C_i, H_i, W_i), fine to coarse; tensors, or what stands
                for them.

        Returns:
            (N, channels, H_0, W_0).
        """
        if not self.reassociate:
            return self._forward_plain(evaluated(inputs))
        maps = self._transform_inputs(inputs)
        maps[-1:] = evaluated(maps[-1:])
        laterals = [
            _lateral(m, x) for m, x in zip(self.lateral_convs, maps[:-1], strict=True)
        ]
        laterals.append(self.psp_forward(maps))
        for level in range(len(laterals) - 1, 0, -1):
            size = laterals[level - 1].shape[-2:]
            laterals[level - 1] = laterals[level - 1] + self._resize(
                laterals[level], size
            )
        outs = [m(x) for m, x in zip(self.fpn_convs, laterals[:-1], strict=True)]
        return self._bottleneck([*outs, laterals[-1]])

    def _bottleneck(self, outs: Sequence[Tensor]) -> Tensor:
        """Upsample the levels (N, C, H_i, W_i) to the first, and convolve them."""
        module = self.fpn_bottleneck
        weights = module.conv.weight.split([out.shape[1] for out in outs], dim=1)
        total = F.conv2d(outs[0], weights[0], module.conv.bias, padding=1)
        for out, weight in zip(outs[1:], weights[1:], strict=True):
            total = add_conv3x3_of_upsampled_(
                total, out, weight, self.inner_align_corners
            )
        return _finish(module, total)

    def _resize(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Upsample inside of the head."""
        return resize(
            x, size=size, mode='bilinear', align_corners=self.inner_align_corners
        )

    def _forward_plain(self, inputs: Sequence[Tensor]) -> Tensor:
        """Fuse the maps as mmseg does."""
        outer, self.align_corners = self.align_corners, self.inner_align_corners
        try:
            return super()._forward_feature(inputs)
        finally:
            self.align_corners = outer


def _lateral(module: ConvModule, x: Feature) -> Tensor:
    """Apply a lateral convolution to a map, or to what stands for one."""
    if not isinstance(x, PendingUpsample):
        return module(x)
    return _finish(module, x.through(module.conv.weight, module.conv.bias))


def _finish(module: ConvModule, x: Tensor) -> Tensor:
    """Normalise and activate the result of a module's convolution."""
    if module.with_norm:
        x = module.norm(x)
    return module.activate(x) if module.with_activation else x
