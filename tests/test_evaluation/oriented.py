"""Random oriented boxes, and their figures by counting in double precision."""

import math

import numpy as np

from s5_mm.evaluation.oriented_ap import Detections, Objects


def corners(box):
    """Corners of (cx, cy, w, h, angle), in order."""
    cx, cy, w, h, angle = (float(value) for value in box)
    c, s = math.cos(angle), math.sin(angle)
    half = ((w, h), (w, -h), (-w, -h), (-w, h))
    return [(cx + (u * c - v * s) / 2, cy + (u * s + v * c) / 2) for u, v in half]


def _area(polygon):
    turned = polygon[1:] + polygon[:1]
    pairs = zip(polygon, turned, strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs) / 2


def slow_iou(one, other):
    """IoU by clipping one polygon at each side of the other."""
    clip, polygon = corners(other), corners(one)
    if _area(clip) < 0:
        clip = clip[::-1]
    for (x1, y1), (x2, y2) in zip(clip, clip[1:] + clip[:1], strict=True):
        side = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in polygon]
        kept = []
        for k, (x, y) in enumerate(polygon):
            before, (px, py) = side[k - 1], polygon[k - 1]
            if (before < 0) != (side[k] < 0):
                t = before / (before - side[k])
                kept.append((px + t * (x - px), py + t * (y - py)))
            if side[k] >= 0:
                kept.append((x, y))
        polygon = kept
        if not polygon:
            return 0.0
    shared = abs(_area(polygon))
    whole = abs(_area(corners(one))) + abs(_area(corners(other)))
    return shared / (whole - shared)


def slow_ap(images, label, iou_thr):
    """Objects, recall and both AP of a class, detection by detection."""
    claims, count = [], 0
    for place, (found, objects) in enumerate(images):
        there = np.flatnonzero(objects.labels == label)
        own = [g for g in there if not objects.ignored[g]]
        rest = [g for g in there if objects.ignored[g]]
        count += len(own)
        for d in range(len(found.labels)):
            if found.labels[d] != label:
                continue
            ious = [slow_iou(found.bboxes[d], objects.bboxes[g]) for g in own + rest]
            best = max(ious, default=0.0)
            target = ious.index(best) if best >= iou_thr else None
            ignored = target is not None and target >= len(own)
            claims.append((-float(found.scores[d]), place, d, target, ignored))
    taken, right, counted, curve = set(), 0, 0, []
    for _, place, _, target, ignored in sorted(claims):
        if ignored:
            pass
        elif target is not None and (place, target) not in taken:
            taken.add((place, target))
            right, counted = right + 1, counted + 1
        else:
            counted += 1
        curve.append((right / count if count else 0.0, right / max(counted, 1)))
    if not count:
        return count, None, None, None
    marks = [max((p for r, p in curve if r >= 0.1 * m), default=0.0) for m in range(11)]
    area, last = 0.0, 0.0
    for r, _ in curve:
        area += (r - last) * max(p for other, p in curve if other >= r)
        last = r
    return count, curve[-1][0] if curve else 0.0, sum(marks) / 11, area


def random_image(rng, num_classes, num_gts=8, extra=5, side=120, ties=False):
    """Objects, some ignored, and detections around them, at random and repeated."""
    boxes = np.column_stack(
        (
            rng.uniform(0, side, (num_gts, 2)),
            rng.uniform(12, 60, (num_gts, 2)),
            rng.uniform(-math.pi / 2, math.pi / 2, num_gts),
        )
    ).astype(np.float32)
    labels = rng.integers(0, num_classes, num_gts)
    objects = Objects(boxes, labels, rng.random(num_gts) < 0.25)
    near = rng.integers(0, max(num_gts, 1), 2 * num_gts)
    shift = rng.normal(0, 1, (len(near), 5)) * (3, 3, 4, 4, 0.15)
    far = np.column_stack(
        (
            rng.uniform(0, side, (extra, 2)),
            rng.uniform(8, 50, (extra, 2)),
            rng.uniform(-1, 1, extra),
        )
    )
    bboxes = np.concatenate((boxes[near] + shift, far, far[:2])).astype(np.float32)
    bboxes[:, 2:4] = bboxes[:, 2:4].clip(2)
    own = np.concatenate(
        (labels[near], rng.integers(0, num_classes, len(bboxes) - len(near)))
    )
    scores = (rng.permutation(len(bboxes)) + rng.random()) / (len(bboxes) + 1)
    if ties:
        scores = scores.round(1)
    return Detections(bboxes, scores.astype(np.float32), own), objects
