"""The soft weights of SoftMatch, for pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice, check_number

from .moving_average import MovingAverage
from .pixel_sums import class_moments
from .predictions import Predictions
from .threshold import Threshold, check_share


@MODELS.register_module()
class SoftMatchWeight(Threshold):
    """Weigh pixels by how far they are below the mean (SoftMatch, ICLR 2023).

    w = exp(-min(c - mu, 0)^2 n^2 / (2 v)),  c = max p

    with the moving averages mu and v of mean and variance of c over the pixels of all
    processes that are no padding.  Nothing is thrown away, and nothing has to be tuned
    to the confidence of a model.

    Traps.  The authors start from mu = 1/K and v = 1, with which every pixel counts
    fully for a long time; here both start with the first batch
    (:class:`MovingAverage`).  They align the predictions with a uniform distribution
    first; classes of pixels are not uniform, so there is no alignment here unless
    ``semi_train_cfg.alignment`` asks for one (target 'labels').  A rare class is less
    sure than the others: ``per_class`` compares it with itself.

    Pixels of a class that has not had two pixels in one iteration (``per_class``), and
    all before the first update, have mu = 1 and v = 0: nothing below c = 1 counts.

    Args:
        num_classes: K.
        n_sigma: n: the weight of a pixel at mu - 2 sigma / n is exp(-2).
        per_class: Have mu and v of each predicted class instead of one for all.
        momentum: Of the moving averages, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        n_sigma: float = 2.0,
        per_class: bool = False,
        momentum: float = 0.999,
    ) -> None:
        super().__init__(num_classes)
        check_number('semi_train_cfg.threshold.n_sigma', n_sigma, above=0)
        check_share('threshold.momentum', momentum)
        check_choice('semi_train_cfg.threshold.per_class', per_class, (False, True))
        self.n_sigma, self.per_class = n_sigma, per_class
        groups = num_classes if per_class else 1
        self.mean = MovingAverage((groups,), momentum, initial=1.0)
        self.variance = MovingAverage((groups,), momentum, initial=0.0)

    def update(self, predictions: Predictions) -> None:
        """Average mean and variance, see :meth:`Threshold.update`."""
        count, first, second = class_moments(
            self._groups(predictions.labels),
            predictions.confidence,
            predictions.counted,
            len(self.mean.value),
        )
        mean = first / count
        # Unbiased, as in the authors' code; rounding must not make it negative.
        variance = ((second - first * mean) / (count - 1)).clamp(min=0)
        self.mean.update(mean, count > 1)
        self.variance.update(variance, count > 1)

    def forward(self, predictions: Predictions) -> Tensor:
        """w, see :meth:`Threshold.forward`."""
        confidence, groups = predictions.confidence, self._groups(predictions.labels)
        dtype = confidence.dtype
        below = (confidence - self.mean.value.to(dtype)[groups]).clamp(max=0)
        sigma = self.variance.value.sqrt().to(dtype) / self.n_sigma
        # 0 / tiny is 0: with v = 0 the pixels at mu count fully, those below do not.
        distance = below / sigma.clamp(min=torch.finfo(dtype).tiny)[groups]
        return (-distance.square() / 2).exp()

    def _groups(self, labels: Tensor) -> Tensor:
        """Return which mean and variance each pixel has, long, (M, H, W)."""
        return labels if self.per_class else torch.zeros_like(labels)
