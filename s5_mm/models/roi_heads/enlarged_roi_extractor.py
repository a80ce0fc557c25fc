"""RoI features of oriented boxes that are enlarged first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmrotate.models.roi_heads.roi_extractors import RotatedSingleRoIExtractor
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class EnlargedRoIExtractor(RotatedSingleRoIExtractor):
    """mmrotate's extractor with the release's enlargement of the boxes.

    Boxes are enlarged about their centre before the pyramid level is chosen and before
    the features are pooled, so that a box sees what is around it.  mmrotate has only
    ``roi_scale_factor``, which no head passes on and which comes after the level.

    Pools in fp32: mmcv's ``RoIAlignRotated`` has no bfloat16, and coordinates of 1024
    pixels have no fractions left in its 8 bits.  Pools of contiguous copies: mmcv's
    compiled RoI operators read channels-last maps, which a ViT and the layers behind
    it give, as if they were not, without an error.

    Args:
        extend_factor: Factors of width and height of a box in its own frame; the
            release's are 1.2 and 1.4.
        **kwargs: Arguments of mmrotate's ``RotatedSingleRoIExtractor``.

    Raises:
        ValueError: A factor is not positive.
    """

    def __init__(
        self, extend_factor: Sequence[float] = (1.2, 1.4), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        factors = tuple(extend_factor)
        if len(factors) != 2 or min(factors) <= 0:
            raise ValueError(
                f'extend_factor={extend_factor}, expected the positive factors of '
                'width and height'
            )
        self.extend_factor = factors

    def forward(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: Any = None
    ) -> Tensor:
        """Pool the features of RoIs.

        Args:
            feats: Maps (N, C, H / s, W / s) by stride, any floating type.
            rois: (k, 6): number of the image, centre x and y, width, height in pixels,
                angle in radians (clockwise).
            roi_scale_factor: As in mmrotate, on top, after the choice of the level.

        Returns:
            (k, C, 7, 7), fp32 (or fp64 for maps in fp64).
        """
        feats = [
            (feat if feat.dtype == torch.float64 else feat.float()).contiguous()
            for feat in feats
        ]
        width, height = self.extend_factor
        scale = rois.new_tensor([1.0, 1.0, 1.0, width, height, 1.0])
        with torch.autocast(rois.device.type, enabled=False):
            return super().forward(feats, rois * scale, roi_scale_factor)
