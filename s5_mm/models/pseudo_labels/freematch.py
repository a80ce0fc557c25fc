"""The self-adaptive thresholds of FreeMatch, for pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from s5_mm.registry import MODELS

from .class_threshold import ClassThreshold
from .moving_average import MovingAverage
from .pixel_sums import mean_probabilities
from .predictions import Predictions
from .threshold import check_limits, check_share
from .uncertainty_histogram import class_histograms, quantile


@MODELS.register_module()
class FreeMatchThreshold(ClassThreshold):
    """Let the threshold follow the model's confidence (FreeMatch, ICLR 2023).

    tau_t = EMA of the mean of max p over the pixels
    p~_t = EMA of the mean of p over the pixels, (K,)
    T_k = max(min(tau_t, ceiling) p~_k / max_j p~_j, floor)

    Means are over the un-mixed pixels of all processes that are no padding, and are
    updated before the pixels are weighted, as in the authors' code.

    Traps.  There the averages start from 1/K with m = .999 and need thousands of
    iterations to keep anything out; here they start with the first batch
    (:class:`MovingAverage`).  With pixels p~ is the area of a class: p~_k / max p~ of
    a rare one is nearly 0, and all of its pixels pass, right or wrong, unless ``floor``
    stops them.

    The fairness term of the paper, a loss on the student's distribution, is not part of
    this rule.

    A class that never occurred has p~_k near 0, so the threshold ``floor``.  Before the
    first update all classes have ``ceiling``.

    Args:
        num_classes: K.
        floor: Lowest threshold of a class, in [0, ceiling].
        ceiling: Highest tau_t, in [0, 1]; the authors' ``clip_thresh`` is .95.
        quantile: Take this quantile of the confidences for tau_t instead of their mean
            (the authors' ``use_quantile`` is .8), in [0, 1]; None for the mean.
        momentum: Of the moving averages, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    needs_probabilities = True

    def __init__(
        self,
        num_classes: int,
        floor: float = 0.5,
        ceiling: float = 1.0,
        quantile: float | None = None,
        momentum: float = 0.999,
    ) -> None:
        super().__init__(num_classes)
        check_limits(floor=floor, ceiling=ceiling)
        self.floor, self.ceiling, self.quantile = floor, ceiling, quantile
        if quantile is not None:
            check_share('threshold.quantile', quantile)
        check_share('threshold.momentum', momentum)
        self.confidence = MovingAverage((), momentum, initial=1.0)
        self.distribution = MovingAverage((num_classes,), momentum, 1 / num_classes)

    def update(self, predictions: Predictions) -> None:
        """Average confidence and distribution, see :meth:`Threshold.update`."""
        counted = predictions.counted
        mean_p, any_pixel = mean_probabilities(predictions.distribution, counted)
        self.distribution.update(mean_p, any_pixel)
        self.confidence.update(self._global(predictions, counted), any_pixel)

    def _global(self, predictions: Predictions, counted: Tensor) -> Tensor:
        """Mean or quantile of the confidences of all processes, scalar."""
        confidence = predictions.confidence
        if self.quantile is None:
            mean, _ = mean_probabilities(confidence.unsqueeze(1), counted)
            return mean[0]
        one_class = torch.zeros_like(predictions.labels)
        histogram = class_histograms(one_class, 1 - confidence, counted, 1)
        return 1 - quantile(histogram[0], 1 - self.quantile)

    def class_thresholds(self) -> Tensor:
        """T_k, see :meth:`ClassThreshold.class_thresholds`."""
        shares = self.distribution.value
        limit = self.confidence.value.clamp(max=self.ceiling)
        return (limit * shares / shares.max()).clamp(min=self.floor)
