"""Oriented R-CNN whose heads stay in full precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import FasterRCNN
from mmdet.structures import DetDataSample
from torch import Tensor

from s5_mm.registry import MODELS

from ..feature_channels import check_neck


@MODELS.register_module()
class OrientedRCNN(FasterRCNN):
    """mmdet's two-stage detector, its heads in fp32 under mixed precision.

    Backbone and neck run in the type of the autocast, what follows in fp32: mmrotate's
    oriented RPN turns its boxes over to OpenCV, which has no bfloat16 (``TypeError:
    Got unsupported ScalarType BFloat16``), mmcv's rotated ops have none either, and in
    its 8 bits of fraction a coordinate of 1024 pixels is good to 4.

    With the heads, coder, assigner and loss of s5_mm (``configs/_base_/models``) an
    iteration between two log points makes one host synchronisation, for one data set
    as for several: mmengine's ``stack_batch`` compares the sizes of the images, which
    lie on the CPU.  What else waits for a GPU are sizes that hang on the data
    (``nonzero``, NMS): anchors inside the image, samples, proposals, RoIs of a level.
    An image of more than ``gpu_assign_thr`` boxes adds three, see
    :class:`s5_mm.models.task_modules.MaxIoUAssigner`.

    Ground truth is brought into the representation of the box coder (``le90``: the
    width is the longer side) first.  RoIs of the RPN have it, and ground truth is
    pooled beside them, while mmrotate's pipeline gives the boxes of OpenCV: half of
    them would be seen turned by 90 degrees and enlarged along the other side.

    Arguments and names of parameters as for ``mmdet.FasterRCNN``.

    Raises:
        ValueError: The neck is for other channels than the backbone's.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_neck(getattr(self, 'neck', None), self.backbone, 'neck')

    def extract_feat(self, batch_inputs: Tensor | tuple[Tensor, ...]) -> tuple:
        """Extract features.

        Args:
            batch_inputs: Images (N, 3, H, W), or features, which are given back.

        Returns:
            Maps (N, C, h, w) of the pyramid.
        """
        if isinstance(batch_inputs, _Features):
            return batch_inputs
        return super().extract_feat(batch_inputs)

    def loss(self, batch_inputs: Any, batch_data_samples: Sequence[Any]) -> dict:
        """Losses of RPN and RoI head.

        Args:
            batch_inputs: Images (N, 3, H, W), or what the backbone takes.
            batch_data_samples: N samples with ``gt_instances``, whose boxes change
                their representation.

        Returns:
            Losses by name.
        """
        version = self.roi_head.bbox_head.bbox_coder.angle_version
        for sample in batch_data_samples:
            for name in ('gt_instances', 'ignored_instances'):
                if name in sample:
                    sample.get(name).bboxes.regularize_boxes(version)
        features, off = self._features(batch_inputs)
        with off:
            return super().loss(features, batch_data_samples)

    def predict(
        self,
        batch_inputs: Any,
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = True,
    ) -> list[DetDataSample]:
        """Detect.

        Args:
            batch_inputs: Images (N, 3, H, W), or what the backbone takes.
            batch_data_samples: N samples.
            rescale: Give boxes in pixels of the original image.

        Returns:
            The samples with ``pred_instances``.
        """
        features, off = self._features(batch_inputs)
        with off:
            return super().predict(features, batch_data_samples, rescale=rescale)

    def _features(self, batch_inputs: Any) -> tuple[_Features, torch.autocast]:
        """Extract features, and make the context in which the heads run."""
        maps = self.extract_feat(batch_inputs)
        exact = torch.promote_types(maps[0].dtype, torch.float32)
        features = _Features(level.to(exact) for level in maps)
        return features, torch.autocast(maps[0].device.type, enabled=False)


class _Features(tuple):
    """Maps of the pyramid, on their way through the host's methods."""
