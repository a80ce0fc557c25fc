"""Average precision of oriented boxes at several IoU thresholds, under both VOC rules.

The matching is that of mmrotate's ``eval_rbbox_map``, of one pass instead of one for
each threshold and rule.  What is different, and why:

* No processes: the host spawns a pool at each call, in which every worker imports
  torch again, to share out the IoUs of all pairs of boxes.
* The IoU is computed once, in double precision, and only where boxes are near, see
  :mod:`s5_mm.ops.rotated_iou`; that of the host is wrong for some pairs.
* Detections of one score keep their order; the host's sort is not stable, so its
  figures depend on numpy's version.
* Ignored boxes of an image without other boxes are ignored; the host drops them, and
  what is found there counts as false.
* A class without objects has no AP (nan) instead of 0, and no mean is made.
* The area rule of mmdet's ``average_precision`` loops over the detections in Python;
  the vectorised envelope is that of both rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from s5_mm.ops.rotated_iou import near_pairs, pair_overlaps

#: As the host and the development kits write them: 0.3 is 0.30000000000000004, which
#: a recall of 3 in 10 does not reach.
_RECALLS = np.arange(11) * 0.1


@dataclass(frozen=True)
class Detections:
    """What was found in an image.

    Attributes:
        bboxes: (cx, cy, w, h, angle in radians), float32, shape (n, 5).
        scores: float32, shape (n,).
        labels: Class ids, int64, shape (n,).
    """

    bboxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Objects:
    """What there is in an image.

    Attributes:
        bboxes: (cx, cy, w, h, angle in radians), float32, shape (g, 5).
        labels: Class ids, int64, shape (g,).
        ignored: Whether it is neither asked for nor false to find it, bool,
            shape (g,).
    """

    bboxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True)
class OrientedAP:
    """Figures by class, for T thresholds and K classes.

    Attributes:
        num_gts: Objects that are not ignored, int64, shape (K,).
        num_dets: Detections, int64, shape (K,).
        recall: Of all detections, 0..1, float64, shape (T, K); nan where ``num_gts``
            is 0, as in the next two.
        ap07: Mean of the highest precision at recalls of at least 0, 0.1, ..., 1
            (VOC2007), shape (T, K).
        ap12: Area under the falling envelope of the precision (VOC2012), shape (T, K).
    """

    num_gts: np.ndarray
    num_dets: np.ndarray
    recall: np.ndarray
    ap07: np.ndarray
    ap12: np.ndarray


def match_image(
    found: Detections, objects: Objects, iou_thrs: Sequence[float]
) -> np.ndarray:
    """Judge the detections of an image.

    Each detection is compared with the box of its class that it overlaps most, ignored
    or not.  From the IoU threshold on it counts for that box: as right if no detection
    of a higher score did, as false if one did, and not at all if the box is ignored.

    Args:
        found: The detections.
        objects: The objects.
        iou_thrs: Thresholds, above 0.

    Returns:
        1 right, -1 false, 0 not counted; int8, shape (T, n), in the order of
        ``found``.
    """
    boxes, others = torch.from_numpy(found.bboxes), torch.from_numpy(objects.bboxes)
    labels, other_labels = map(torch.from_numpy, (found.labels, objects.labels))
    near, other_near = near_pairs(boxes, others, labels, other_labels)
    ious = pair_overlaps(boxes[near], others[other_near]).numpy()
    i, j = near.numpy(), other_near.numpy()
    # Of equal IoUs the host takes the first box, ignored ones stand last.
    order = np.lexsort((j, objects.ignored[j], -ious, i))
    owners, first = np.unique(i[order], return_index=True)
    best = np.zeros(len(found.scores), np.float32)
    target = np.full(len(found.scores), -1)
    best[owners] = ious[order][first]
    target[owners] = j[order][first]
    to_ignored = np.append(objects.ignored, False)[target]
    ranking = np.argsort(-found.scores, kind='stable')
    verdict = np.full((len(iou_thrs), len(found.scores)), -1, np.int8)
    for row, iou_thr in zip(verdict, iou_thrs, strict=True):
        hit = best >= iou_thr
        row[hit & to_ignored] = 0
        claims = ranking[(hit & ~to_ignored)[ranking]]
        row[claims[np.unique(target[claims], return_index=True)[1]]] = 1
    return verdict


def oriented_ap(
    images: Sequence[tuple[Detections, Objects]],
    num_classes: int,
    iou_thrs: Sequence[float],
) -> OrientedAP:
    """Compute the average precision of every class.

    Args:
        images: Of each image the detections and the objects, at least one.
        num_classes: K.
        iou_thrs: The T thresholds, above 0.

    Returns:
        The figures.
    """
    verdicts = [match_image(*image, iou_thrs) for image in images]
    verdict = np.concatenate(verdicts, axis=1)
    labels = np.concatenate([found.labels for found, _ in images])
    scores = np.concatenate([found.scores for found, _ in images])
    asked = np.concatenate([objects.labels[~objects.ignored] for _, objects in images])
    num_gts = np.bincount(asked, minlength=num_classes)
    recall, ap07, ap12 = np.full((3, len(iou_thrs), num_classes), np.nan)
    for k in np.flatnonzero(num_gts):
        own = np.flatnonzero(labels == k)
        own = own[np.argsort(-scores[own], kind='stable')]
        for t, row in enumerate(verdict):
            right = np.cumsum(row[own] == 1)
            counted = np.cumsum(row[own] != 0)
            recalls = right / num_gts[k]
            recall[t, k] = recalls[-1] if len(own) else 0
            ap07[t, k], ap12[t, k] = average_precisions(
                recalls, right / np.maximum(counted, 1)
            )
    num_dets = np.bincount(labels, minlength=num_classes)
    return OrientedAP(num_gts, num_dets, recall, ap07, ap12)


def average_precisions(
    recalls: np.ndarray, precisions: np.ndarray
) -> tuple[float, float]:
    """Compute the average precision of a curve under both rules.

    Args:
        recalls: 0..1, not falling, shape (n,).
        precisions: 0..1, shape (n,).

    Returns:
        That of 11 points (VOC2007) and that of the area (VOC2012), 0..1.
    """
    # The highest precision at this recall or a higher one; 0 beyond the last.
    envelope = np.append(np.maximum.accumulate(precisions[::-1])[::-1], 0.0)
    ap07 = envelope[np.searchsorted(recalls, _RECALLS)].mean()
    ap12 = (np.diff(recalls, prepend=0.0) * envelope[:-1]).sum()
    return float(ap07), float(ap12)
