"""The box head of the second stage, with losses that read no number back."""

from __future__ import annotations

import torch
from mmdet.models.losses import accuracy
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead as HostHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from s5_mm.registry import MODELS


@MODELS.register_module()
class Shared2FCBBoxHead(HostHead):
    """mmdet's box head whose divisor stays on the device.

    The host reads the number of weighted RoIs (``.item()``), asks whether any RoI is
    positive, and selects by a mask three times.  Here the number is a scalar tensor
    and the selection one index; without positive RoIs the loss of the empty selection
    is 0 and keeps its place in the graph.

    Arguments and names of parameters as for ``mmdet.Shared2FCBBoxHead``.
    """

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of n RoIs.

        Args:
            cls_score: Logits of K classes and the background, (n, K + 1).
            bbox_pred: Encoded boxes, (n, 5), or (n, 5 K) if not class-agnostic.
            rois: Number of the image and box, (n, 6).
            labels: 0..K - 1, K for the background, (n,), long.
            label_weights: Weights of the classification, (n,).
            bbox_targets: Targets, (n, 5).
            bbox_weights: Weights, (n, 5).
            reduction_override: 'none', 'mean' or 'sum' in place of the losses' own.

        Returns:
            ``loss_cls``, ``acc`` in per cent, ``loss_bbox``.
        """
        losses: dict[str, Tensor] = {}
        if cls_score is not None and cls_score.numel():
            exact = torch.promote_types(cls_score.dtype, torch.float32)
            found = self.loss_cls(
                cls_score,
                labels,
                label_weights,
                avg_factor=(label_weights > 0).sum().clamp(min=1).to(exact),
                reduction_override=reduction_override,
            )
            losses.update(found if isinstance(found, dict) else dict(loss_cls=found))
            if self.custom_activation:
                losses.update(self.loss_cls.get_accuracy(cls_score, labels))
            else:
                losses['acc'] = accuracy(cls_score, labels)
        if bbox_pred is not None:
            positive = torch.nonzero((labels >= 0) & (labels < self.num_classes))
            positive = positive.squeeze(1)
            losses['loss_bbox'] = self.loss_bbox(
                self._own_boxes(bbox_pred, rois, labels, positive),
                bbox_targets[positive],
                bbox_weights[positive],
                avg_factor=len(bbox_targets),
                reduction_override=reduction_override,
            )
        return losses

    def _own_boxes(
        self, bbox_pred: Tensor, rois: Tensor, labels: Tensor, positive: Tensor
    ) -> Tensor:
        """Predicted boxes of the positive RoIs' own classes, (p, 5)."""
        if self.reg_decoded_bbox:
            bbox_pred = get_box_tensor(self.bbox_coder.decode(rois[:, 1:], bbox_pred))
        if self.reg_class_agnostic:
            return bbox_pred[positive]
        every = bbox_pred.reshape(len(bbox_pred), self.num_classes, -1)
        return every[positive, labels[positive]]
