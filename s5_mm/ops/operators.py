"""The functions of ``mmcv._ext`` that Oriented R-CNN calls, written in torch.

Names, arguments and outputs that are filled in place are those of the compiled
functions, so that the Python half of ``mmcv.ops`` works on either.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .roi_align_rotated import RoIGrid, pool_rois, pool_rois_backward
from .rotated_iou import near_pairs, pair_overlaps
from .rotated_nms import suppress_rotated

_MODES = ('iou', 'iof')


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress upright boxes.

    Args:
        boxes: (x1, y1, x2, y2), shape (n, 4).
        scores: Shape (n,).
        iou_threshold: A box is suppressed if its IoU with a kept one is above this.
        offset: 1 if a box ends with the pixel x2, 0 if before it.

    Returns:
        Indices of the kept boxes by falling score, int64, shape (k,).
    """
    if offset:
        boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), dim=1)
    # Here, because segmentation, which imports mmcv.ops too, needs no torchvision.
    from torchvision.ops import nms as upright_nms

    # torchvision's order of equal scores is another one than mmcv's.
    order = scores.argsort(descending=True)
    rank = torch.arange(len(order), 0, -1, device=scores.device).to(boxes)
    return order[upright_nms(boxes[order], rank, iou_threshold)]


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Suppress rotated boxes, those of another class apart.

    Args:
        dets: (cx, cy, w, h, angle in radians), shape (n, 5) or, with labels, (n, 6).
        scores: Not used.
        order: Indices of the boxes by falling score, int64, shape (n,).
        dets_sorted: Not used.
        labels: Class ids, shape (n,), if ``multi_label``; mmcv's CPU function compares
            boxes of all classes.
        iou_threshold: A box is suppressed if its IoU with a kept one is at least this
            and above 0.
        multi_label: Whether there are classes.

    Returns:
        Indices of the kept boxes by falling score, int64, shape (k,).
    """
    return suppress_rotated(
        dets[:, :5], order, labels if multi_label else None, iou_threshold
    )


def box_iou_rotated(
    boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool
) -> None:
    """Fill in the overlaps of rotated boxes.

    Args:
        boxes1: (cx, cy, w, h, angle in radians), shape (n, 5).  Like the compiled
            function this one ignores further columns; mmrotate's AP passes scores.
        boxes2: Likewise, shape (m, 5).
        ious: Filled in: zeros, shape (n * m,), or (n,) if ``aligned``.
        mode_flag: 0 for IoU, 1 for the covered share of the first box.
        aligned: Whether to compare each box with its counterpart only.
    """
    mode = _MODES[mode_flag]
    boxes1, boxes2 = boxes1[:, :5], boxes2[:, :5]
    if aligned:
        ious.copy_(pair_overlaps(boxes1, boxes2, mode))
        return
    first, second = near_pairs(boxes1, boxes2)
    overlaps = pair_overlaps(boxes1[first], boxes2[second], mode)
    ious.view(-1)[first * len(boxes2) + second] = overlaps.to(ious)


def roi_align_rotated_forward(
    input: Tensor, rois: Tensor, output: Tensor, **settings: Any
) -> None:
    """Fill in the pooled features of rotated boxes.

    Args:
        input: Features, (N, C, H, W), any memory format.
        rois: (k, 6): image, centre x and y, width, height, angle in radians.
        output: Filled in, (k, C, pooled_height, pooled_width).
        **settings: ``pooled_height``, ``pooled_width``, ``spatial_scale``,
            ``sampling_ratio``, ``aligned`` and ``clockwise``, see :class:`.RoIGrid`.
    """
    output.copy_(pool_rois(input, rois, _grid(**settings)))


def roi_align_rotated_backward(
    grad_output: Tensor,
    rois: Tensor,
    grad_input: Tensor,
    **settings: Any,
) -> None:
    """Fill in the gradient of the features.

    Args:
        grad_output: Gradient of the pooled features, (k, C, height, width).
        rois: (k, 6), as in :func:`roi_align_rotated_forward`.
        grad_input: Filled in, (N, C, H, W).
        **settings: As in :func:`roi_align_rotated_forward`.
    """
    shape, grid = grad_input.shape, _grid(**settings)
    grad_input.copy_(pool_rois_backward(grad_output, rois, shape, grid))


def get_compiler_version() -> str:
    """Return what mmcv's report of the environment says about its compiler."""
    return 'none, operators of s5_mm'


def get_compiling_cuda_version() -> str:
    """Return what mmcv's report of the environment says about its CUDA."""
    return 'none'


def _grid(pooled_height: int, pooled_width: int, **rest: Any) -> RoIGrid:
    """Name the settings of the compiled functions as :class:`.RoIGrid` does."""
    return RoIGrid(pooled_height, pooled_width, **rest)
