"""Leave out the pixels with the highest entropy, as U2PL does."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from s5_mm.registry import MODELS

from .predictions import Predictions
from .threshold import Threshold, check_share
from .uncertainty_histogram import class_histograms, quantile


@MODELS.register_module()
class EntropyPercentile(Threshold):
    """Drop the share alpha of pixels with the highest entropy (U2PL, CVPR 2022).

    H = -sum_k p_k log p_k
    w = 1(H <= gamma_t),  gamma_t = (1 - alpha_t) quantile of H
    alpha_t = start + (end - start) t / T

    over the pixels of this iteration on all processes that are no padding; t counts
    the iterations since the burn-in.  Unlike a threshold it always passes a known
    share, so the unlabelled branch neither starves nor takes everything.  gamma is the
    edge of a bin (:mod:`~s5_mm.models.pseudo_labels.uncertainty_histogram`), so at most
    alpha is dropped, and less where pixels are alike.

    U2PL divides by the number of kept pixels: ``normalization='confident'``.  Rare
    classes have high entropies and lose more than their share; :class:`TopShare` and
    :class:`RankWeight` pick in each class.  Before the first update all pixels count.

    Args:
        num_classes: K.
        start: alpha at the end of the burn-in, in [0, 1].
        end: alpha at the end of the training, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    needs_probabilities = True
    highest_entropy: Tensor

    def __init__(self, num_classes: int, start: float = 0.2, end: float = 0.0) -> None:
        super().__init__(num_classes)
        self.start = check_share('threshold.start', start)
        self.end = check_share('threshold.end', end)
        self.passes_all = min(start, end) == 0
        self.register_buffer('highest_entropy', torch.ones((), dtype=torch.float64))

    def update(self, predictions: Predictions) -> None:
        """Find gamma_t, in units of log K, see :meth:`Threshold.update`."""
        alpha = self.start + (self.end - self.start) * self.progress
        one_class = torch.zeros_like(predictions.labels)
        histogram = class_histograms(
            one_class, _entropy(predictions), predictions.counted, 1
        )
        self.highest_entropy.copy_(quantile(histogram[0], 1 - alpha))

    def forward(self, predictions: Predictions) -> Tensor:
        """1(H <= gamma_t), see :meth:`Threshold.forward`."""
        entropy = _entropy(predictions)
        kept = entropy <= self.highest_entropy.to(entropy.dtype)
        return kept.to(predictions.confidence.dtype)


def _entropy(predictions: Predictions) -> Tensor:
    """Compute H / log K, in [0, 1], (M, H, W)."""
    p = predictions.distribution
    return (torch.special.entr(p).sum(dim=1) / log(p.shape[1])).clamp(0, 1)
