"""Weights by the rank of a pixel's confidence within its class, as in DWL."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_number

from .predictions import Predictions
from .threshold import Threshold, check_share
from .uncertainty_histogram import BINS, bin_index, class_histograms

#: Fractions of a pixel that are kept when the memory is counted.
_PIXEL = 2.0**16


@MODELS.register_module()
class RankWeight(Threshold):
    """Weigh pixels by their rank in their class (DWL, ISPRS J. 2024).

    r = number of the quantiles q_{y-hat,1}, ..., q_{y-hat,20} below max p, over 20
    w = 2 sigmoid(kappa r) - 1,  kappa = 2 + 20 t / T

    where q_{k,j} is the j/20 quantile of the confidences of class k in memory and t
    counts the iterations since the burn-in.  Ranks are within a class, so those with
    long tails are not starved.  At the start the best pixels count .76, at the end all
    but the worst fifth count .97 or more; the lowest twentieth always counts 0.

    The authors keep the pixels of the last 50 batches of each process in a list.  Here
    the memory is a histogram of the confidences of each class
    (:mod:`~s5_mm.models.pseudo_labels.uncertainty_histogram`) of all processes which
    forgets with ``momentum``; pixels of one bin have the same rank.

    A class that never occurred has no quantiles, and its pixels the weight 0.

    Args:
        num_classes: K.
        momentum: m of the memory h <- m h + counts, in [0, 1]; .98 reaches back 50
            iterations, 1 is for ever.
        quantiles: Number of quantiles, at least 1.
        kappa: kappa at the end of the burn-in and at the end of the training.

    Raises:
        ValueError: If an argument is out of range.
    """

    memory: Tensor

    def __init__(
        self,
        num_classes: int,
        momentum: float = 0.98,
        quantiles: int = 20,
        kappa: tuple[float, float] = (2.0, 22.0),
    ) -> None:
        super().__init__(num_classes)
        self.momentum = check_share('threshold.momentum', momentum)
        where = 'semi_train_cfg.threshold.quantiles'
        check_number(where, quantiles, 1, whole=True)
        if not _are_limits(kappa):
            raise ValueError(
                'semi_train_cfg.threshold.kappa must be two numbers of at least 0, at '
                f'the start and at the end, got {kappa!r}'
            )
        self.quantiles, self.kappa = quantiles, tuple(kappa)
        memory = torch.zeros(num_classes, BINS, dtype=torch.float64)
        self.register_buffer('memory', memory)

    def update(self, predictions: Predictions) -> None:
        """Remember the confidences, see :meth:`Threshold.update`."""
        counts = class_histograms(
            predictions.labels,
            1 - predictions.confidence,
            predictions.counted,
            self.num_classes,
        )
        self.memory.mul_(self.momentum).add_(counts)

    def forward(self, predictions: Predictions) -> Tensor:
        """w, see :meth:`Threshold.forward`."""
        start, end = self.kappa
        kappa = start + (end - start) * self.progress
        weights = 2 * (kappa * self._ranks()).sigmoid() - 1
        cells = predictions.labels * BINS + bin_index(1 - predictions.confidence)
        return weights.to(predictions.confidence.dtype).flatten()[cells]

    def _ranks(self) -> Tensor:
        """Return r of each class and bin, float64, (K, 1536)."""
        # Whole numbers: CUDA's cumsum of floating types is not deterministic.
        pixels = (self.memory * _PIXEL).round().long()
        up_to = pixels.cumsum(dim=1)
        total = up_to[:, -1:]
        # Bins ascend in the uncertainty, so less confident pixels are in later ones.
        below = total - up_to
        return (below * self.quantiles // total.clamp(min=1)).double() / self.quantiles


def _are_limits(kappa: Any) -> bool:
    """Return whether these are two finite numbers of at least 0."""
    return (
        isinstance(kappa, Sequence)
        and len(kappa) == 2
        and all(isinstance(one, (int, float)) and 0 <= one < inf for one in kappa)
    )
