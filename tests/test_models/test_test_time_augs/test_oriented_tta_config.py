"""Rotated test-time augmentation as the configs have it, and on real images."""

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')
from mmdet.structures.bbox import scale_boxes
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmrotate.structures import RotatedBoxes
from torch import nn

from s5_mm.models.test_time_augs.oriented_tta import (
    OrientedTTAModel,
    original_from_view,
)
from s5_mm.registry import MODELS, TRANSFORMS

from .views import (
    CFG,
    HEIGHT,
    WIDTH,
    Oracle,
    assert_same,
    by_place,
    far_boxes,
    loaded,
    mirror,
    view_pipeline,
)

ROOT = Path(__file__).parents[3]
DATA = os.environ.get('S5_MM_DATA')


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmrotate')


def _leaf(tmp_path, change=''):
    path = tmp_path / 'leaf.py'
    path.write_text(f'_base_ = [{str(ROOT / "configs/_base_/tta_det.py")!r}]\n{change}')
    return Config.fromfile(path)


def test_config_merges_the_eight_symmetries(tmp_path):
    cfg = _leaf(tmp_path)
    path = tmp_path / 'scene.png'
    assert cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    model = MODELS.build({**cfg.tta_model, 'module': Oracle()})
    boxes = far_boxes()
    corners = RotatedBoxes(boxes).convert_to('qbox').tensor
    results = dict(
        img_path=str(path),
        dataset_name='ports',
        instances=[
            dict(bbox=corner.tolist(), bbox_label=i, ignore_flag=0)
            for i, corner in enumerate(corners)
        ],
    )
    pipeline = [TRANSFORMS.build(transform) for transform in cfg.tta_pipeline]
    for transform in pipeline:
        results = transform(results)
    assert len(results['inputs']) == 8
    shapes = {tuple(image.shape) for image in results['inputs']}
    assert shapes == {(3, 614, 1024), (3, 1024, 614)}
    seen = {
        tuple(original_from_view(view.metainfo)[:2].ravel())
        for view in results['data_samples']
    }
    assert len(seen) == 8
    for view in results['data_samples']:
        # The ground truth has the coordinates of the file in every view.
        found = view.gt_instances.bboxes.regularize_boxes('le90')
        assert_same(found.double(), boxes, pixels=1e-3)
        # A perfect detector: the file's boxes as they lie in the view.
        there = RotatedBoxes(boxes.float()).convert_to('qbox')
        there.project_(view.homography_matrix)
        there = there.convert_to('rbox')
        view.gt_instances.bboxes = there
    merged = model.test_step(pseudo_collate([results]))[0]
    assert merged.dataset_name == 'ports'
    # Corners that two axes scale by 5.12 and 5.117 make no exact rectangle.
    found = by_place(merged.pred_instances).double()
    assert_same(found, boxes, pixels=0.02, angle=1e-3)


def test_size_is_changed_as_the_config_says(tmp_path):
    change = (
        'tta_pipeline = _base_.tta_pipeline\n'
        "tta_pipeline[1]['transforms'][0][0]['scale'] = (800, 800)\n"
    )
    cfg = _leaf(tmp_path, change)
    assert cfg.tta_pipeline[1].transforms[0][0].scale == (800, 800)
    plain = _leaf(tmp_path)
    assert plain.tta_pipeline[1].transforms[0][0].scale == (1024, 1024)
    plain.merge_from_dict({'tta_pipeline.1.transforms.0.0.scale': (800, 800)})
    assert plain.tta_pipeline[1].transforms[0][0].scale == (800, 800)


def _bright(image):
    """A detector by hand: the axes of inertia of bright spots, (n, 5)."""
    count, ids = cv2.connectedComponents((image > 150).astype(np.uint8))
    boxes = []
    for i in range(1, count):
        y, x = np.nonzero(ids == i)
        if len(x) > 40:
            lengths, axes = np.linalg.eigh(np.cov(x, y))
            h, w = 2 * np.sqrt(lengths + 1)
            # The centre of a pixel is half a pixel from its edge.
            angle = math.atan2(axes[1, 1], axes[0, 1])
            boxes.append([x.mean() + 0.5, y.mean() + 0.5, w, h, angle])
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5)


class _Bright(nn.Module):
    def test_step(self, data):
        for image, sample in zip(data['inputs'], data['data_samples'], strict=True):
            boxes = _bright(image[1].numpy())
            scale = [1 / factor for factor in sample.scale_factor]
            boxes = scale_boxes(RotatedBoxes(boxes), scale).tensor
            count = len(boxes)
            sample.pred_instances = InstanceData(
                bboxes=boxes,
                scores=torch.full((count,), 0.5),
                labels=torch.zeros(count, dtype=torch.long),
            )
        return data['data_samples']


@pytest.mark.skipif(not DATA, reason='S5_MM_DATA does not name a folder of imagery')
@pytest.mark.parametrize(('flip', 'k'), [('horizontal', 1), ('vertical', 0), (None, 3)])
def test_real_images_are_found_where_they_are(flip, k):
    """What the pixels of a view show lies where the pixels of the image show it."""
    files = sorted(Path(DATA, 'hrsc_ships/img_dir/val').iterdir())[:12]
    views = [[mirror(flip)], [dict(type='s5_mm.Rotate90', k=k)]]
    pipeline = view_pipeline(views, dict(scale_factor=1.0, keep_ratio=True))
    compared = 0
    for file in files:
        image = cv2.imread(str(file))[:200]  # not square
        results = loaded(torch.zeros(0, 5), np.zeros(0, int))
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        model = OrientedTTAModel(_Bright(), {**CFG, 'nms': None})
        (merged,) = model.test_step(pseudo_collate([pipeline(results)]))
        found, want = merged.pred_instances.bboxes, _bright(image[..., 1])
        assert len(found) == len(want)
        for box in want:
            gap = (found - box).abs()
            gap[:, 4] = torch.minimum(gap[:, 4], (gap[:, 4] - math.pi).abs())
            assert gap.amax(dim=1).min() < 0.01
            compared += 1
    assert compared > 20
