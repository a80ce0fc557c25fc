"""What is watched during a training: pixels by class, of all processes."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from .pixel_sums import class_sums
from .predictions import PseudoLabels

#: Parts of a pixel in which weights are summed up, whole numbers in any order.
_PARTS = 2**16


@torch.no_grad()
def count_pseudo_labels(pseudo: PseudoLabels, num_classes: int) -> Tensor:
    """Count how many pixels of each class the rule lets pass, without a sync.

    Args:
        pseudo: Of this process.
        num_classes: K.

    Returns:
        Sum of the weights of each class, rounded to pixels, and last, all pixels that
        are no padding, over all processes, int64, (K + 1,).
    """
    parts = (pseudo.weight * _PARTS).round()
    passed = class_sums(pseudo.labels, parts, num_classes)
    counts = torch.cat([passed, _PARTS * pseudo.valid.sum().view(1)])
    # Every process holds the sum of all, so a checkpoint of one is enough.
    all_reduce(counts)
    return (counts + _PARTS // 2) // _PARTS


@torch.no_grad()
def count_labels(labels: Tensor, num_classes: int) -> Tensor:
    """Count the labelled pixels of each class, without a sync.

    Args:
        labels: Class ids of this process, long, (B_l, H, W); what is no class, such
            as 255, does not count.
        num_classes: K.

    Returns:
        Over all processes, int64, (K,).
    """
    known = (labels >= 0) & (labels < num_classes)
    counts = class_sums(labels.where(known, 0), known, num_classes)
    all_reduce(counts)
    return counts
