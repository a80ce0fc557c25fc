"""The curriculum of FlexMatch, for pixels."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice

from .class_threshold import ClassThreshold
from .moving_average import MovingAverage
from .pixel_sums import class_sums
from .predictions import Predictions
from .threshold import check_limits, check_share


@MODELS.register_module()
class FlexMatchThreshold(ClassThreshold):
    """Lower the threshold of classes that few pixels reach (FlexMatch, NeurIPS 2021).

    sigma_k = share of the pixels with max p >= tau and y-hat = k
    beta_k = sigma_k / max(sigma_1, ..., sigma_K, sigma_0)
    T_k = max(tau beta_k / (2 - beta_k), floor)

    where sigma_0 is the share of pixels below tau, which only the warm-up puts into the
    maximum.  The paper remembers the label of each image; pixels have no such table,
    so the sigma are moving averages over the iterations (:class:`MovingAverage`), over
    all processes, and they learn from an iteration before it is weighted.

    Traps.  As long as nothing is confident, all beta_k are 0, and the paper's T_k with
    them: everything passes, the opposite of a cautious start.  And sigma_k of pixels
    follows the area of a class more than how well it is learned: frequent classes get
    tau, rare ones nearly 0.  ``floor`` limits both; with K classes it must be well
    above 1/K to keep anything out.

    A class that never occurred has sigma_k = 0, so the threshold ``floor``; so have all
    classes before the first update.

    Args:
        num_classes: K.
        value: tau, in [0, 1].
        floor: Lowest threshold, in [0, tau].
        warm_up: Put sigma_0 into the maximum, which keeps thresholds low while most
            pixels are below tau.
        momentum: Of the moving averages, in [0, 1].

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        value: float = 0.95,
        floor: float = 0.5,
        warm_up: bool = True,
        momentum: float = 0.99,
    ) -> None:
        super().__init__(num_classes)
        check_limits(floor=floor, value=value)
        check_choice('semi_train_cfg.threshold.warm_up', warm_up, (False, True))
        self.floor, self.value, self.warm_up = floor, value, warm_up
        check_share('threshold.momentum', momentum)
        self.confident = MovingAverage((num_classes + 1,), momentum)

    def update(self, predictions: Predictions) -> None:
        """Average the shares of confident pixels, see :meth:`Threshold.update`."""
        reached = predictions.confidence >= self.value
        # Class K: the pixels that do not reach tau.
        classes = predictions.labels.where(reached, self.num_classes)
        pixels = class_sums(classes, predictions.counted, self.num_classes + 1)
        all_reduce(pixels)
        total = pixels.sum()
        self.confident.update(pixels.double() / total.clamp(min=1), total > 0)

    def class_thresholds(self) -> Tensor:
        """T_k, see :meth:`ClassThreshold.class_thresholds`."""
        shares = self.confident.value
        best = (shares if self.warm_up else shares[:-1]).max()
        beta = shares[:-1] / best.clamp(min=torch.finfo(best.dtype).tiny)
        return (self.value * beta / (2 - beta)).clamp(min=self.floor)
