"""Sums over the pixels of all processes, without waiting for a device.

Sums by class are taken in whole numbers, which add up to the same in any order: CUDA's
``scatter_add_`` is deterministic for them, unlike for floating types, and N processes
get what one gets from the whole batch, to the bit.  Sums of probabilities have a fixed
order on each process and are float64, so N processes differ from one by rounding.
``bincount`` and boolean indexing would wait for the device.
"""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

#: Unit of confidences as whole numbers: sums of 2^31 pixels fit into int64.
UNIT = 2.0**-32


def class_sums(classes: Tensor, values: Tensor, num_classes: int) -> Tensor:
    """Add up whole numbers by class, on this process.

    Args:
        classes: Class ids, long, any shape.
        values: Whole numbers or bool, same shape; 0 on pixels that do not count.
        num_classes: K.

    Returns:
        int64, (K,).
    """
    sums = torch.zeros(num_classes, dtype=torch.int64, device=classes.device)
    return sums.scatter_add_(0, classes.flatten(), values.flatten().long())


def class_moments(
    classes: Tensor, values: Tensor, counted: Tensor, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum up x^0, x^1 and x^2 by class over all processes.

    Args:
        classes: Class ids, long, (M, H, W).
        values: x, in [0, 1], floating type, (M, H, W).
        counted: Pixels that count, bool, (M, H, W).
        num_classes: K.

    Returns:
        Number of pixels, sum and sum of squares, float64, (K,) each, multiples of
        2^-32.
    """
    values = values.double().where(counted, 0)
    sums = torch.stack(
        [
            class_sums(classes, part, num_classes)
            for part in (
                counted,
                (values / UNIT).round(),
                (values.square() / UNIT).round(),
            )
        ]
    )
    all_reduce(sums)
    count, first, second = sums.double().unbind()
    return count, first * UNIT, second * UNIT


def mean_probabilities(probabilities: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Average distributions over the pixels of all processes.

    Args:
        probabilities: p, (M, K, H, W).
        counted: Pixels that count, bool, (M, H, W).

    Returns:
        Mean p, float64, (K,), anything if no pixel counts; and whether any does, bool,
        scalar.
    """
    counted_p = probabilities.where(counted.unsqueeze(1), 0)
    sums = counted_p.sum(dim=(0, 2, 3), dtype=torch.float64)
    total = torch.cat([sums, counted.sum(dtype=torch.float64).unsqueeze(0)])
    all_reduce(total)
    return total[:-1] / total[-1].clamp(min=1), total[-1] > 0


def confidence_sum(probabilities: Tensor, counted: Tensor) -> Tensor:
    """Add up the confidences of this process; goes into a compiled step.

    Args:
        probabilities: p, (B, K, H, W).
        counted: Pixels that count, bool, (B, H, W).

    Returns:
        Sum of max p over the pixels that count and are finite, and their number, type
        of p, (2,).
    """
    confidence = probabilities.amax(dim=1)
    counted = counted & confidence.isfinite()
    total = confidence.where(counted, 0).sum()
    return torch.stack([total, counted.sum().to(total.dtype)])
