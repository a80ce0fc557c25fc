"""Distribution alignment (ReMixMatch, ICLR 2020), for pixels."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_number

from .moving_average import MovingAverage
from .pixel_counts import count_labels
from .pixel_sums import mean_probabilities
from .threshold import check_share

TARGETS = ('labels', 'uniform')


@MODELS.register_module()
class DistributionAlignment(nn.Module):
    """Correct the teacher's predictions towards a distribution of the classes.

    p <- norm(p ((target + eps) / (model + eps))^power),  norm: sum over classes = 1

    where model is the moving average of the mean of p over the weak views' pixels of
    all processes that are no padding, before it is corrected.  It gives back to rare
    classes what the teacher takes from them.

    Traps.  The areas of classes in the labelled images need not be those in other
    images: a class of a third of the labelled pixels would be forced on images that
    have none.  ``power`` below 1 softens the correction, and a list gives the areas
    that are expected there.  A class with a share of nearly 0 in the model gets a
    factor of up to target / eps.

    Both averages start with their first batch (:class:`MovingAverage`); before it
    predictions stay as they are.  A class that is in no label has the target 0 and
    goes out of the predictions.

    Args:
        num_classes: K.
        target: 'labels', the moving average of the classes' shares in the labelled
            pixels; 'uniform'; or K shares, which are divided by their sum.
        momentum: Of the moving averages, in [0, 1].
        power: Exponent of the correction, in [0, 1]: 0 leaves predictions as they are.
        eps: Added to both distributions, above 0.

    Raises:
        ValueError: If an argument is out of range.
    """

    fixed: Tensor

    def __init__(
        self,
        num_classes: int,
        target: str | Sequence[float] = 'labels',
        momentum: float = 0.999,
        power: float = 1.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        check_share('alignment.momentum', momentum)
        self.power = check_share('alignment.power', power)
        self.eps = check_number('semi_train_cfg.alignment.eps', eps, above=0, below=1)
        self.model = MovingAverage((num_classes,), momentum)
        self.labels = MovingAverage((num_classes,), momentum)
        self.from_labels = target == 'labels'
        shares = [1.0] * num_classes if isinstance(target, str) else target
        if isinstance(target, str) and target not in TARGETS:
            raise ValueError(
                f'semi_train_cfg.alignment.target must be one of {TARGETS} or '
                f'{num_classes} shares, got {target!r}'
            )
        if not _are_shares(shares, num_classes):
            raise ValueError(
                f'semi_train_cfg.alignment.target must be {num_classes} numbers of at '
                f'least 0, one per class, not all 0, got {target!r}'
            )
        fixed = torch.tensor(shares, dtype=torch.float64)
        # Not in checkpoints: it is the config's.
        self.register_buffer('fixed', fixed / fixed.sum(), persistent=False)

    def observe_labels(self, labels: Tensor) -> None:
        """Average the classes' shares of the labelled pixels, in the burn-in too.

        Args:
            labels: Class ids, long, (B_l, H, W); what is no class, such as
                255, does not count.
        """
        if not self.from_labels:
            return
        counts = count_labels(labels, self.num_classes)
        total = counts.sum()
        self.labels.update(counts.double() / total.clamp(min=1), total > 0)

    def update(self, p_weak: Tensor, valid: Tensor) -> None:
        """Average the model's distribution, once per iteration.

        Args:
            p_weak: p of the weak views, (M, K, H, W).
            valid: Pixels that are no padding, bool, (M, H, W).
        """
        counted = valid & p_weak.isfinite().all(dim=1)
        self.model.update(*mean_probabilities(p_weak, counted))

    def forward(self, p_weak: Tensor) -> Tensor:
        """Correct predictions.

        Args:
            p_weak: p, (M, K, H, W).

        Returns:
            Corrected p, same shape and type.
        """
        target, known = self.fixed, self.model.started
        if self.from_labels:
            target, known = self.labels.value, known & self.labels.started
        ratio = (target + self.eps) / (self.model.value + self.eps)
        factor = torch.where(known, ratio**self.power, 1).to(p_weak.dtype)
        corrected = p_weak * factor.view(-1, 1, 1)
        return corrected / corrected.sum(dim=1, keepdim=True)


def _are_shares(values: Any, count: int) -> bool:
    """Return whether these are so many finite numbers >= 0 with a positive sum."""
    return (
        isinstance(values, Sequence)
        and len(values) == count
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        and all(isfinite(value) and value >= 0 for value in values)
        and sum(values) > 0
    )
