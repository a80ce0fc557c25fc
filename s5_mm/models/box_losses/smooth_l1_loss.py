"""Smooth L1 loss that waits for no device."""

from __future__ import annotations

from typing import Any

from mmdet.models.losses import SmoothL1Loss as HostLoss
from mmdet.models.losses import smooth_l1_loss
from torch import Tensor

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice


@MODELS.register_module()
class SmoothL1Loss(HostLoss):
    """mmdet's loss without its question whether any weight is positive.

    The host asks on every call, that is for every level of the pyramid, to return 0
    early; the weighted sum is that 0, and so is its gradient.

    Arguments as for ``mmdet.SmoothL1Loss``.
    """

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Compute the loss.

        Args:
            pred: Predictions, (n, d).
            target: Targets, (n, d).
            weight: Weights, (n, d).
            avg_factor: What the sum is divided by instead of the number of values.
            reduction_override: 'none', 'mean' or 'sum' in place of the loss's own.
            **kwargs: Further arguments of the host's function.

        Returns:
            A scalar, or (n, d) without reduction.

        Raises:
            ValueError: ``reduction_override`` is unknown.
        """
        allowed = (None, 'none', 'mean', 'sum')
        check_choice('reduction_override', reduction_override, allowed)
        return self.loss_weight * smooth_l1_loss(
            pred,
            target,
            weight,
            beta=self.beta,
            reduction=reduction_override or self.reduction,
            avg_factor=avg_factor,
            **kwargs,
        )
