"""The relative threshold of AdaMatch, for pixels."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from s5_mm.registry import MODELS

from .moving_average import MovingAverage
from .predictions import Predictions
from .threshold import Threshold, check_share


@MODELS.register_module()
class AdaMatchThreshold(Threshold):
    """Ask for a share of the confidence on labelled images (AdaMatch, ICLR 2022).

    T = tau c_l,  c_l = moving average of the mean of max p over labelled pixels

    by the student in train mode, over all processes, without padding and pixels that
    have no label.  A model that is unsure of labelled images need not be surer of
    others.

    The paper takes c_l of the same step.  Here the pseudo-labels are made before the
    student's only call, so an iteration uses the average up to the one before it, in
    which the burn-in takes part.  Before the first iteration c_l = 1.  The paper
    aligns the predictions as well: ``semi_train_cfg.alignment`` with the target
    'labels'.

    Args:
        num_classes: K.
        value: tau, in [0, 1].
        momentum: Of the moving average, in [0, 1]; 0 takes the latest iteration alone,
            as the paper does.

    Raises:
        ValueError: If an argument is out of range.
    """

    needs_labelled = True

    def __init__(
        self, num_classes: int, value: float = 0.9, momentum: float = 0.9
    ) -> None:
        super().__init__(num_classes)
        self.value = check_share('threshold.value', value)
        check_share('threshold.momentum', momentum)
        self.labelled_confidence = MovingAverage((), momentum, initial=1.0)

    @torch.no_grad()
    def observe_labelled(self, confidence: Tensor) -> None:
        """Average c_l, see :meth:`Threshold.observe_labelled`."""
        total = confidence.double()
        all_reduce(total)
        mean = total[0] / total[1].clamp(min=1)
        self.labelled_confidence.update(mean, total[1] > 0)

    def forward(self, predictions: Predictions) -> Tensor:
        """1(max p >= T), see :meth:`Threshold.forward`."""
        confidence = predictions.confidence
        limit = self.value * self.labelled_confidence.value
        return (confidence >= limit.to(confidence.dtype)).to(confidence.dtype)
