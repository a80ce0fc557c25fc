"""Test-time augmentation of oriented detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmcv.ops import batched_nms
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from mmrotate.structures import RotatedBoxes
from torch import Tensor, nn

from s5_mm.registry import MODELS
from s5_mm.utils.box_mapping import map_boxes

if TYPE_CHECKING:
    from mmdet.structures import DetDataSample

_SETTINGS = ('nms', 'max_per_img', 'score_thr')
_NEEDED = ('homography_matrix', 'scale_factor', 'ori_shape')


@MODELS.register_module()
class OrientedTTAModel(BaseTTAModel):
    """Merges the oriented boxes that a detector finds in views of one image.

    mmdet's ``DetTTAModel`` undoes flips of horizontal boxes alone, and mmrotate has
    no counterpart.  Here each view says by its ``homography_matrix``, which mmdet's
    ``Resize`` and ``RandomFlip`` and :class:`s5_mm.Rotate90` record, how its pixels
    came about; the boxes are mapped back by the flips and quarter turns in it, without
    a rounding error of the geometry.  Our pipelines resize, flip and then turn; any
    other order of the three is undone as well.

    The boxes of all views then go through one non-maximum suppression per class, which
    keeps the box of the most confident view, with its score, and are given as le90.

    The merged sample is that of the first view, with its ``dataset_name`` and the rest
    of its meta information.  Load the annotations behind the geometry, as
    ``configs/_base_/tta_det.py`` does: then its ground truth has the coordinates of
    the original image, as the metrics expect.

    Args:
        module: The detector, of one data set or of several; its predictions are in
            the coordinates of the original image (``rescale``).
        tta_cfg: ``nms`` (of mmcv's ``batched_nms``, e.g.
            ``dict(type='nms_rotated', iou_threshold=0.1)``), ``max_per_img`` (boxes
            that are kept of an image) and ``score_thr`` (boxes with a lower score are
            dropped first).
        data_preprocessor: For a detector given as a config without one.

    Raises:
        KeyError: If ``tta_cfg`` has other keys; from :meth:`merge_preds`, if a view
            lacks meta information.
        ValueError: From :meth:`merge_preds`, if a view was made by more than resizing,
            flips and quarter turns.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        tta_cfg: Mapping[str, Any],
        data_preprocessor: dict | nn.Module | None = None,
    ) -> None:
        if set(tta_cfg) != set(_SETTINGS):
            raise KeyError(
                f'tta_cfg: the keys {sorted(tta_cfg)} found, expected {list(_SETTINGS)}'
            )
        super().__init__(module, data_preprocessor)
        self.tta_cfg = tta_cfg

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[DetDataSample]]
    ) -> list[DetDataSample]:
        """Merge the predictions of the views of each image.

        Args:
            data_samples_list: For each image its views, with ``pred_instances``:
                ``bboxes`` (n, 5), ``scores`` (n,) and ``labels`` (n,).

        Returns:
            A sample of each image, the first view's, with ``pred_instances`` of at
            most ``max_per_img`` boxes, by falling score.
        """
        merged = []
        for views in data_samples_list:
            found = [view.pred_instances for view in views]
            boxes = torch.cat([_undo(view) for view in views])
            scores = torch.cat([instances.scores for instances in found])
            labels = torch.cat([instances.labels for instances in found])
            views[0].pred_instances = self._suppress(boxes, scores, labels)
            merged.append(views[0])
        return merged

    def _suppress(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> InstanceData:
        """Suppress boxes that overlap with a better one of their class."""
        sure = scores >= self.tta_cfg['score_thr']
        boxes = RotatedBoxes(boxes[sure]).regularize_boxes('le90')
        scores, labels = scores[sure], labels[sure]
        if len(boxes):
            moved = _spread(boxes)
            found, keep = batched_nms(moved, scores, labels, self.tta_cfg['nms'])
            keep = keep[: self.tta_cfg['max_per_img']]
            boxes, labels = boxes[keep], labels[keep]
            scores = found[: len(keep), 5]
        return InstanceData(bboxes=boxes, scores=scores, labels=labels)


def _spread(boxes: Tensor) -> Tensor:
    """Make boxes fit for mmcv's suppression, whose results index the originals.

    Two faults of mmcv are kept away.  It moves the classes apart by the largest
    coordinate, which is too little beside centres left of or above the image; so the
    least coordinate becomes 0.  And where edges of two boxes lie on one line, as in
    views that agree, the IoU of its compiled operator may be 0, so boxes are moved at
    random by at most 0.01 px.

    Args:
        boxes: Rotated boxes, (n, 5), n > 0.

    Returns:
        The moved boxes, the same for the same input.
    """
    moved = boxes.clone()
    moved[:, :2] -= boxes[:, :2].amin(dim=0)
    noise = torch.rand(boxes.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    noise *= torch.tensor([0.02, 0.02, 0.02, 0.02, 0.002])
    return moved + noise.to(boxes)


def original_from_view(meta: Mapping[str, Any]) -> np.ndarray:
    """Find the flips and quarter turns that lead from a view to the original image.

    Args:
        meta: Meta information of a view: ``homography_matrix`` (3, 3), from the
            original image to the view; ``scale_factor`` (x, y), that of the resizing
            along the axes of the view; ``ori_shape`` (height, width) in pixels.

    Returns:
        float64 (3, 3) of whole numbers, from the view divided by ``scale_factor``,
        which is where the host's ``rescale`` puts predictions, to the original.

    Raises:
        KeyError: If an entry is missing.
        ValueError: If the view was also padded, cropped or turned by other angles.
    """
    path = meta.get('img_path')
    if missing := [key for key in _NEEDED if meta.get(key) is None]:
        raise KeyError(
            f'{path}: the view has no {missing} in its meta information; use '
            'mmdet.Resize and mmdet.RandomFlip and name them in meta_keys of the '
            'tta_pipeline'
        )
    height, width = meta['ori_shape'][:2]
    scale_x, scale_y = meta['scale_factor']
    found = np.asarray(meta['homography_matrix'], dtype=np.float64)
    found = np.diag([1 / scale_x, 1 / scale_y, 1]) @ found
    # A symmetry of the image's rectangle puts a corner of it at the origin.
    linear = np.rint(found[:2, :2])
    corner = np.minimum(linear * [width, height], 0).sum(axis=1)
    exact = np.eye(3)
    exact[:2, :2], exact[:2, 2] = linear, -corner
    slack = np.array([1e-3, 1e-3, 0.02 + 1e-6 * max(height, width)])
    signed = np.abs(linear).tolist() in ([[1, 0], [0, 1]], [[0, 1], [1, 0]])
    if not signed or (np.abs(found - exact) > slack).any():
        raise ValueError(
            f'{path}: a view with homography_matrix '
            f'{np.asarray(meta["homography_matrix"]).tolist()} and scale_factor '
            f'{(scale_x, scale_y)} of an image of {height}x{width} px; expected one '
            'resizing, flips and quarter turns, with no padding or cropping'
        )
    undo = np.eye(3)
    undo[:2, :2], undo[:2, 2] = linear.T, linear.T @ corner
    return undo


def _undo(view: DetDataSample) -> Tensor:
    """Map the boxes of a view to the original image, (n, 5)."""
    return map_boxes(view.pred_instances.bboxes, original_from_view(view.metainfo))
