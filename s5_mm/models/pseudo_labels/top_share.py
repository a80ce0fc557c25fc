"""Keep the best pixels of each class."""

from __future__ import annotations

from torch import Tensor

from s5_mm.registry import MODELS

from .class_threshold import ClassThreshold
from .moving_average import MovingAverage
from .predictions import Predictions
from .threshold import check_share
from .uncertainty_histogram import class_histograms, quantile


@MODELS.register_module()
class TopShare(ClassThreshold):
    """Count the most confident share of the pixels of each predicted class.

    T_k = max(EMA of the (1 - share) quantile of max p where y-hat = k, floor)

    the class-balanced selection of CBST (Zou et al., ECCV 2018) in each iteration
    instead of once per round: no class starves because the model is less sure of it
    than of others.  The quantiles are over the pixels of all processes that are no
    padding, edges of bins
    (:mod:`~s5_mm.models.pseudo_labels.uncertainty_histogram`), so that at least
    ``share`` passes in a batch like those before.

    Trap: of a class that is nearly always wrong the best share passes too; ``floor``
    or a burn-in keeps it out.  The quantile of a class moves only in iterations in
    which it occurs; one that never occurred has T_k = 1.

    Args:
        num_classes: K.
        share: In [0, 1].
        floor: Lowest threshold, in [0, 1].
        momentum: Of the moving averages, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        share: float = 0.5,
        floor: float = 0.0,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(num_classes)
        self.share = check_share('threshold.share', share)
        self.passes_all = share == 1
        self.floor = check_share('threshold.floor', floor)
        check_share('threshold.momentum', momentum)
        self.quantile = MovingAverage((num_classes,), momentum, initial=1.0)

    def update(self, predictions: Predictions) -> None:
        """Average the quantiles, see :meth:`Threshold.update`."""
        histograms = class_histograms(
            predictions.labels,
            1 - predictions.confidence,
            predictions.counted,
            self.num_classes,
        )
        edges = 1 - quantile(histograms, self.share)
        self.quantile.update(edges, histograms.sum(dim=1) > 0)

    def class_thresholds(self) -> Tensor:
        """T_k, see :meth:`ClassThreshold.class_thresholds`."""
        return self.quantile.value.clamp(min=self.floor)
