"""UPerNet's head with a corner rule of its own for the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmseg.models.decode_heads as host
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class UPerHead(host.UPerHead):
    """mmseg's ``UPerHead``, same parameters and keys.

    The S5 release upsamples the logits with aligned corners while everything inside
    the head is not aligned; mmseg has one switch for both.

    Args:
        align_corners: Of the upsampling of the logits: what mmseg's predictions and
            losses, and :class:`s5_mm.models.SemiBaseSegmentor`, read.
        inner_align_corners: Of the pooling pyramid and the top-down path.
        **kwargs: Arguments of mmseg's ``UPerHead``.
    """

    def __init__(
        self,
        align_corners: bool = False,
        inner_align_corners: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(align_corners=inner_align_corners, **kwargs)
        self.align_corners = align_corners
        self.inner_align_corners = inner_align_corners

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        """Fuse the maps.

        Args:
            inputs: Maps (N, C_i, H_i, W_i), fine to coarse.

        Returns:
            (N, channels, H_0, W_0).
        """
        outer, self.align_corners = self.align_corners, self.inner_align_corners
        try:
            return super()._forward_feature(inputs)
        finally:
            self.align_corners = outer
