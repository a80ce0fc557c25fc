"""Samples with oriented boxes and what the metric says of them."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

pytest.importorskip('mmrotate', reason='part of the extra det')
from mmdet.structures import DetDataSample
from mmrotate.structures.bbox import RotatedBoxes

from .oriented import random_image, slow_ap

CLASSES = ('plane', 'ship', 'never')
FIGURES = {
    'AP07': (0.5, 2),
    'AP12': (0.5, 3),
    'AP07_75': (0.75, 2),
    'AP12_75': (0.75, 3),
}


def sample_of(found, objects, **meta):
    """The sample that a detector returns of an image."""
    sample = DetDataSample(metainfo=meta)
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(found.bboxes),
        scores=torch.from_numpy(found.scores),
        labels=torch.from_numpy(found.labels),
    )
    bboxes, labels = torch.from_numpy(objects.bboxes), torch.from_numpy(objects.labels)
    ignored = torch.from_numpy(objects.ignored)
    sample.gt_instances = InstanceData(
        bboxes=RotatedBoxes(bboxes[~ignored]), labels=labels[~ignored]
    )
    sample.ignored_instances = InstanceData(
        bboxes=RotatedBoxes(bboxes[ignored]), labels=labels[ignored]
    )
    return sample


def pairs_of(seed, count, num_classes=2):
    """Detections and objects of some images; in some there are no objects."""
    rng = np.random.default_rng(seed)
    gts = [8, 0, 5, 3, 6, 1, 2]
    return [
        random_image(rng, num_classes, num_gts=gts[i % len(gts)]) for i in range(count)
    ]


def expected(pairs, num_classes):
    """Figures by counting in double precision."""
    figures = {}
    for figure, (iou_thr, place) in FIGURES.items():
        own = [slow_ap(pairs, k, iou_thr)[place] for k in range(num_classes)]
        own = [value for value in own if value is not None]
        figures[figure] = 100 * np.mean(own)
    return figures


def samples_of(pairs):
    return [
        sample_of(*pair, img_path=f'images/{i}.png') for i, pair in enumerate(pairs)
    ]


def figures_of(samples, classes=CLASSES, size=None, meta=None, **kwargs):
    evaluator = Evaluator(dict(type='s5_mm.OrientedMetric', **kwargs))
    evaluator.dataset_meta = dict(classes=classes) if meta is None else meta
    for start in range(0, len(samples), 2):
        evaluator.process(samples[start : start + 2])
    return evaluator.evaluate(len(samples) if size is None else size)
