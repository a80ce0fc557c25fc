"""Rules that have one threshold per class."""

from __future__ import annotations

from torch import Tensor

from .predictions import Predictions
from .threshold import Threshold


class ClassThreshold(Threshold):
    """Count the pixels whose confidence reaches the threshold of their class."""

    def class_thresholds(self) -> Tensor:
        """Return the thresholds T_k.

        Returns:
            In [0, 1], float64, (K,).
        """
        raise NotImplementedError

    def forward(self, predictions: Predictions) -> Tensor:
        """1(max p >= T_y-hat), see :meth:`Threshold.forward`."""
        confidence = predictions.confidence
        limits = self.class_thresholds().to(confidence.dtype)[predictions.labels]
        return (confidence >= limits).to(confidence.dtype)
