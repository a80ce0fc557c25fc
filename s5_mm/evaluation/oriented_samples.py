"""What the samples of an oriented detector hold, looked at before it is compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .oriented_ap import Detections, Objects


def sample_detections(sample: dict, num_classes: int) -> Detections:
    """Take what was found in a sample.

    Args:
        sample: With ``img_path`` and ``pred_instances``: ``bboxes`` (n, 5) in pixels of
            the image, ``scores`` (n,), ``labels`` (n,), tensors of any device.
        num_classes: K.

    Returns:
        The detections.

    Raises:
        ValueError: If a box is not (cx, cy, w, h, angle in radians), or a label is no
            class.
    """
    found = sample['pred_instances']
    where = f'{sample["img_path"]}: pred_instances'
    bboxes, labels = _boxes(found, where, num_classes)
    return Detections(bboxes, found['scores'].float().cpu().numpy(), labels)


def sample_objects(sample: dict, num_classes: int) -> Objects:
    """Take the objects of a sample.

    Args:
        sample: With ``img_path``, ``gt_instances`` and, where some are to be ignored,
            ``ignored_instances``, each with ``bboxes`` (rotated boxes or a tensor
            (g, 5)) and ``labels`` (g,).
        num_classes: K.

    Returns:
        The objects, ignored ones last.

    Raises:
        ValueError: If there are no ``gt_instances``, or as for the detections.
    """
    truth = sample.get('gt_instances') or {}
    if 'bboxes' not in truth:
        raise ValueError(
            f'{sample["img_path"]} has no gt_instances; for images without truth set '
            'format_only=True and output_dir'
        )
    where = f'{sample["img_path"]}: gt_instances'
    bboxes, labels = _boxes(truth, where, num_classes)
    ignored: np.ndarray = np.zeros(len(labels), bool)
    rest = sample.get('ignored_instances') or {}
    if 'bboxes' in rest:
        where = f'{sample["img_path"]}: ignored_instances'
        more, more_labels = _boxes(rest, where, num_classes)
        bboxes = np.concatenate((bboxes, more))
        labels = np.concatenate((labels, more_labels))
        ignored = np.append(ignored, np.ones(len(more), bool))
    return Objects(bboxes, labels, ignored)


def _boxes(
    instances: dict[str, Any], where: str, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and labels of instances, float32 (n, 5) and int64 (n,)."""
    bboxes = getattr(instances['bboxes'], 'tensor', instances['bboxes'])
    bboxes = bboxes.float().cpu().numpy()
    labels = instances['labels'].long().cpu().numpy()
    if bboxes.ndim != 2 or bboxes.shape[1] != 5:
        raise ValueError(
            f'{where}: boxes of shape {bboxes.shape}, expected (n, 5): cx, cy, w, h, '
            'angle'
        )
    if not np.isfinite(bboxes).all():
        raise ValueError(f'{where}: boxes with nan or inf, expected are finite numbers')
    angles = np.abs(bboxes[:, 4])
    if (angles > 2 * math.pi).any():
        raise ValueError(
            f'{where}: angle {bboxes[angles.argmax(), 4]:g}, allowed are -2 pi..2 pi: '
            'radians are expected, not degrees'
        )
    if ((labels < 0) | (labels >= num_classes)).any():
        raise ValueError(
            f'{where}: labels {labels.min()}..{labels.max()}, allowed are 0..'
            f'{num_classes - 1}'
        )
    return bboxes, labels
