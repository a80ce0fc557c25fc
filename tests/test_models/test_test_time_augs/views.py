"""Boxes on an image and its turned and mirrored views."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData
from mmrotate.structures import RotatedBoxes
from torch import nn

from s5_mm.registry import TRANSFORMS

HEIGHT, WIDTH = 120, 200

CFG = dict(
    nms=dict(type='nms_rotated', iou_threshold=0.1), max_per_img=2000, score_thr=0.05
)

META = (
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'homography_matrix',
    'dataset_name',
)


def far_boxes(columns=4, rows=3):
    """Boxes that do not overlap, le90, float64 (n, 5)."""
    random = np.random.default_rng(1)
    cells = [(x, y) for y in range(rows) for x in range(columns)]
    boxes = [
        (
            (x + 0.5) * WIDTH / columns + random.uniform(-2, 2),
            (y + 0.5) * HEIGHT / rows + random.uniform(-2, 2),
            random.uniform(20, 28),
            random.uniform(5, 15),
            random.uniform(-math.pi / 2, math.pi / 2),
        )
        for x, y in cells
    ]
    return torch.tensor(boxes, dtype=torch.float64)


def mirror(direction):
    prob = 0.0 if direction is None else 1.0
    return dict(type='mmdet.RandomFlip', prob=prob, direction=direction or 'horizontal')


def view_pipeline(views, resize=None):
    """Views are lists of transforms; the first makes the first sample."""
    resize = resize or dict(scale=(320, 320), keep_ratio=True)
    lists = [
        [dict(type='mmdet.Resize', **resize)],
        *views,
        [dict(type='mmdet.PackDetInputs', meta_keys=META)],
    ]
    return TRANSFORMS.build(dict(type='TestTimeAug', transforms=lists))


def loaded(boxes, labels, **fields):
    return dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        img_path='scene.png',
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        gt_bboxes=RotatedBoxes(boxes),
        gt_bboxes_labels=np.asarray(labels),
        **fields,
    )


class Oracle(nn.Module):
    """Finds the ground truth of a view, and rescales it as the host's heads do."""

    def __init__(self, scores=lambda view: 0.9):
        super().__init__()
        self.scores, self.calls = scores, 0

    def test_step(self, data):
        samples = []
        for sample in data['data_samples']:
            boxes = RotatedBoxes(sample.gt_instances.bboxes.tensor)
            scale = [1 / factor for factor in sample.scale_factor]
            boxes = scale_boxes(boxes, scale).tensor
            sample.pred_instances = InstanceData(
                bboxes=boxes,
                scores=boxes.new_full((len(boxes),), self.scores(self.calls)),
                labels=sample.gt_instances.labels,
            )
            samples.append(sample)
        self.calls += 1
        return samples


def by_place(instances):
    """Boxes in the order of the cells that they were made in."""
    boxes = instances.bboxes
    order = sorted(
        range(len(boxes)),
        key=lambda i: (int(boxes[i, 1] // (HEIGHT / 3)), float(boxes[i, 0])),
    )
    return boxes[order]


def assert_same(found, wanted, pixels=1e-4, angle=1e-6):
    assert found.shape == wanted.shape
    assert (found[:, :4] - wanted[:, :4]).abs().max() < pixels
    # le90 jumps by a half turn at its ends.
    turn = (found[:, 4] - wanted[:, 4] + math.pi / 2) % math.pi - math.pi / 2
    assert turn.abs().max() < angle
    assert (found[:, 2] >= found[:, 3]).all()
    assert (found[:, 4].abs() <= math.pi / 2 + 1e-6).all()
