"""What stands in a detector where its backbone would be."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class SharedFeatures(BaseModule):
    """Passes on the maps of a backbone that several detectors share.

    So a data set's part of a :class:`s5_mm.MultiDatasetDetector` is a whole detector
    of mmdet or mmrotate, with the host's own losses and predictions.
    """

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Give back the maps.

        Args:
            features: Maps (N, C, h, w) of the data set's images.

        Returns:
            The same maps.
        """
        return tuple(features)
