"""Which pseudo-labels count: the two rules without a state, and their interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_number

from .building import build_part
from .predictions import Predictions


class Threshold(nn.Module):
    """Turn the teacher's predictions into weights of the pseudo-labels.

    A rule sees the weak views as they are, before anything is pasted.  What it learns
    from them is kept in buffers, equal on all processes, so that it is in the
    checkpoint and a resumed run continues to the bit.

    Args:
        num_classes: K.

    Attributes:
        progress: t/T of rules with a schedule: share of the iterations since the
            burn-in that are over, in [0, 1); whoever trains sets it in each iteration.
    """

    #: Whether the rule reads ``predictions.probabilities``.
    needs_probabilities = False
    #: Whether :meth:`observe_labelled` is called in each iteration.
    needs_labelled = False
    #: Whether it is meant that every pixel may count.
    passes_all = False
    progress = 0.0

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def update(self, predictions: Predictions) -> None:
        """Learn from the predictions of this iteration, before they are weighted.

        Args:
            predictions: Of this process's M weak views.
        """

    def observe_labelled(self, confidence: Tensor) -> None:
        """Learn from labelled images, in the burn-in too.

        Args:
            confidence: Sum of max p over the labelled pixels of this process, by the
                student in train mode, and their number, (2,).
        """

    def forward(self, predictions: Predictions) -> Tensor:
        """Weigh each pixel; padding is taken out by the caller.

        Args:
            predictions: Of M weak views.

        Returns:
            In [0, 1], type of ``predictions.confidence``, (M, H, W).
        """
        raise NotImplementedError


@MODELS.register_module()
class FixedThreshold(Threshold):
    """Count the pixels whose confidence reaches tau (Eq. 7; FixMatch).

    Args:
        num_classes: K.
        value: tau, in [0, 1].

    Raises:
        ValueError: If tau is not in [0, 1].
    """

    def __init__(self, num_classes: int, value: float = 0.95) -> None:
        super().__init__(num_classes)
        self.value = check_share('threshold.value', value)
        self.passes_all = value == 0

    def forward(self, predictions: Predictions) -> Tensor:
        """1(max p >= tau), see :meth:`Threshold.forward`."""
        confidence = predictions.confidence
        return (confidence >= self.value).to(confidence.dtype)


@MODELS.register_module()
class NoThreshold(Threshold):
    """Count every pixel, as UniMatch does on Cityscapes (tau = 0)."""

    passes_all = True

    def forward(self, predictions: Predictions) -> Tensor:
        """All ones, see :meth:`Threshold.forward`."""
        return torch.ones_like(predictions.confidence)


def check_share(name: str, value: float) -> float:
    """Refuse a setting that is no share.

    Args:
        name: Key of ``semi_train_cfg``, for the message.
        value: Its value.

    Returns:
        The value.

    Raises:
        ValueError: If it is not a number in [0, 1].
    """
    return check_number(f'semi_train_cfg.{name}', value, 0, 1)


def check_limits(**limits: float) -> None:
    """Refuse two settings that are no shares, or in the wrong order.

    Args:
        **limits: Two settings of a rule, the lower one first.

    Raises:
        ValueError: If one is not in [0, 1], or the first is above the second.
    """
    (low, least), (high, most) = limits.items()
    for name, value in limits.items():
        check_share(f'threshold.{name}', value)
    why = f', which is {high}'
    check_number(f'semi_train_cfg.threshold.{low}', least, most=most, why=why)


def build_threshold(semi_train_cfg: Mapping[str, Any], num_classes: int) -> Threshold:
    """Build the rule that ``threshold`` or ``conf_thresh`` names.

    Args:
        semi_train_cfg: As the config has it.
        num_classes: K.

    Returns:
        The rule; without either key FixMatch's, tau = 0.95.

    Raises:
        ValueError: If both keys are given, or a value is out of range.
    """
    config = semi_train_cfg.get('threshold')
    value = semi_train_cfg.get('conf_thresh', 0.95 if config is None else None)
    if config is None:
        return FixedThreshold(num_classes, check_share('conf_thresh', value))
    if value is not None:
        raise ValueError(
            f'semi_train_cfg has conf_thresh={value} and threshold={config}: '
            'set conf_thresh=None, or leave threshold out'
        )
    allowed = "a rule such as 's5_mm.TopShare'"
    return build_part('threshold', config, num_classes, Threshold, allowed)
