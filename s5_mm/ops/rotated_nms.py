"""Non-maximum suppression of rotated boxes, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from .rotated_iou import near_pairs, pair_overlaps


def suppress_rotated(
    boxes: Tensor, order: Tensor, labels: Tensor | None, iou_thr: float
) -> Tensor:
    """Suppress, class by class, what overlaps a box of a higher score.

    Only the IoUs of boxes that are near each other are computed, and all boxes are
    decided at once: a box is kept if no kept box before it overlaps it, and repeating
    this rule for all boxes until nothing changes gives the result of the greedy loop,
    for each round decides at least one more box for good.

    Args:
        boxes: (cx, cy, w, h, angle in radians), shape (n, 5).
        order: Indices of the boxes by falling score, int64, shape (n,).
        labels: Class ids, shape (n,); None if there is only one class.
        iou_thr: A box is suppressed if its IoU with a kept one is at least this and
            above 0.

    Returns:
        What is left of ``order``, shape (k,).
    """
    boxes = boxes[order]
    if labels is not None:
        labels = labels[order]
    first, second = near_pairs(boxes, boxes, labels, labels)
    later = first < second
    first, second = first[later], second[later]
    ious = pair_overlaps(boxes[first], boxes[second])
    over = (ious >= iou_thr) & (ious > 0)
    first, second = first[over], second[over]
    kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    while True:
        before, kept = kept, torch.ones_like(kept)
        kept[second[before[first]]] = False
        if torch.equal(kept, before):
            return order[kept]
