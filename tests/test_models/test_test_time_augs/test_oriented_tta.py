"""Merged views of an image give the boxes of the image itself."""

import copy
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')

from mmcv.ops import nms_rotated
from mmdet.structures import DetDataSample
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
from s5_mm.ops import is_compiled
from s5_mm.registry import MODELS, TRANSFORMS

ROOT = Path(__file__).parents[3]
DATA = os.environ.get('S5_MM_DATA')
HEIGHT, WIDTH = 120, 200
FLIPS = (None, 'horizontal', 'vertical', 'diagonal')
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


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmrotate')


def _boxes(columns=4, rows=3):
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


def _flip(direction):
    prob = 0.0 if direction is None else 1.0
    return dict(type='mmdet.RandomFlip', prob=prob, direction=direction or 'horizontal')


def _pipeline(views, resize=None):
    """Views are lists of transforms; the first makes the first sample."""
    resize = resize or dict(scale=(320, 320), keep_ratio=True)
    lists = [
        [dict(type='mmdet.Resize', **resize)],
        *views,
        [dict(type='mmdet.PackDetInputs', meta_keys=META)],
    ]
    return TRANSFORMS.build(dict(type='TestTimeAug', transforms=lists))


def _results(boxes, labels, **fields):
    return dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        img_path='scene.png',
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        gt_bboxes=RotatedBoxes(boxes),
        gt_bboxes_labels=np.asarray(labels),
        **fields,
    )


class _Oracle(nn.Module):
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


def _merge(pipeline, results, module=None, **settings):
    model = OrientedTTAModel(module or _Oracle(), {**CFG, **settings})
    data = pseudo_collate([pipeline(copy.deepcopy(one)) for one in results])
    return model.test_step(data)


def _by_place(instances):
    """Boxes in the order of the cells that they were made in."""
    boxes = instances.bboxes
    order = sorted(
        range(len(boxes)),
        key=lambda i: (int(boxes[i, 1] // (HEIGHT / 3)), float(boxes[i, 0])),
    )
    return boxes[order]


def _assert_same(found, wanted, pixels=1e-4, angle=1e-6):
    assert found.shape == wanted.shape
    assert (found[:, :4] - wanted[:, :4]).abs().max() < pixels
    # le90 jumps by a half turn at its ends.
    turn = (found[:, 4] - wanted[:, 4] + math.pi / 2) % math.pi - math.pi / 2
    assert turn.abs().max() < angle
    assert (found[:, 2] >= found[:, 3]).all()
    assert (found[:, 4].abs() <= math.pi / 2 + 1e-6).all()


@pytest.mark.parametrize('k', range(4))
@pytest.mark.parametrize('flip', FLIPS)
def test_each_view_is_undone(flip, k):
    boxes = _boxes()
    views = [[_flip(flip)], [dict(type='s5_mm.Rotate90', k=k)]]
    (merged,) = _merge(_pipeline(views), [_results(boxes, range(12))])
    assert merged.img_shape == ((320, 192) if k % 2 else (192, 320))
    _assert_same(_by_place(merged.pred_instances), boxes)


def test_sixteen_views_give_each_box_once():
    boxes, count = _boxes(), 16
    views = [
        [_flip(flip) for flip in FLIPS],
        [dict(type='s5_mm.Rotate90', k=k) for k in range(4)],
    ]
    pipeline = _pipeline(views)
    assert len(pipeline.subroutines) == count
    module = _Oracle(lambda view: 0.3 + view / 100)
    (merged,) = _merge(pipeline, [_results(boxes, range(12))], module)
    assert module.calls == count
    _assert_same(_by_place(merged.pred_instances), boxes)
    # The most confident view's score.
    assert torch.allclose(
        merged.pred_instances.scores,
        torch.full((12,), 0.3 + 15 / 100, dtype=torch.float64),
    )
    assert sorted(merged.pred_instances.labels.tolist()) == list(range(12))


@pytest.mark.parametrize('flip', FLIPS)
def test_turn_before_flip_is_undone_too(flip):
    boxes = _boxes()
    views = [[dict(type='s5_mm.Rotate90', k=1)], [_flip(flip)]]
    (merged,) = _merge(_pipeline(views), [_results(boxes, range(12))])
    _assert_same(_by_place(merged.pred_instances), boxes)


def test_views_agree_where_the_axes_are_resized_differently():
    """The host's rescaling of a rotated box is no rectangle's; all views share it."""
    boxes = _boxes()
    resize = dict(scale=(300, 240), keep_ratio=False)  # 1.5 by 2
    plain = RotatedBoxes(boxes)
    plain.rescale_((1.5, 2))
    plain.rescale_((1 / 1.5, 1 / 2))
    wanted = plain.regularize_boxes('le90')
    for flip in FLIPS:
        for k in range(4):
            views = [[_flip(flip)], [dict(type='s5_mm.Rotate90', k=k)]]
            (merged,) = _merge(_pipeline(views, resize), [_results(boxes, range(12))])
            _assert_same(_by_place(merged.pred_instances), wanted)


def test_boxes_in_the_precision_of_a_model():
    boxes = _boxes().float()
    views = [
        [_flip(flip) for flip in FLIPS],
        [dict(type='s5_mm.Rotate90', k=k) for k in range(4)],
    ]
    (merged,) = _merge(_pipeline(views), [_results(boxes, range(12))])
    assert merged.pred_instances.bboxes.dtype == torch.float32
    _assert_same(_by_place(merged.pred_instances), boxes)


def test_images_of_several_data_sets_stay_apart():
    first, second = _boxes(), _boxes()[:5]
    results = [
        _results(first, range(12), dataset_name='ports'),
        _results(second, [1] * 5, dataset_name='fields'),
    ]
    views = [[_flip(None), _flip('vertical')], [dict(type='s5_mm.Rotate90', k=3)]]
    one, other = _merge(_pipeline(views), results)
    assert (one.dataset_name, other.dataset_name) == ('ports', 'fields')
    _assert_same(_by_place(one.pred_instances), first)
    _assert_same(_by_place(other.pred_instances), second)
    assert other.pred_instances.labels.tolist() == [1] * 5


def _view(boxes, scores, labels, **meta):
    meta = dict(
        ori_shape=(HEIGHT, WIDTH),
        scale_factor=(1.0, 1.0),
        homography_matrix=np.eye(3, dtype=np.float32),
        img_path='scene.png',
        **meta,
    )
    return DetDataSample(
        metainfo=meta,
        pred_instances=InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 5),
            scores=torch.tensor(scores),
            labels=torch.tensor(labels, dtype=torch.long),
        ),
    )


def _merge_views(*views, **settings):
    model = OrientedTTAModel(_Oracle(), {**CFG, **settings})
    ((merged),) = model.merge_preds([views])
    return merged.pred_instances


def test_suppression_is_per_class_by_score_and_limited():
    random = torch.Generator().manual_seed(5)
    unit = torch.rand(300, 5, generator=random)
    boxes = unit * torch.tensor([WIDTH, HEIGHT, 40, 20, 3.0])
    scores = torch.rand(300, generator=random)
    labels = torch.randint(0, 3, (300,), generator=random)
    halves = [
        _view(boxes[i::2].tolist(), scores[i::2].tolist(), labels[i::2].tolist())
        for i in range(2)
    ]
    found = _merge_views(*halves, score_thr=0.2)
    want = []
    for label in range(3):
        mine = (labels == label) & (scores >= 0.2)
        want += nms_rotated(boxes[mine], scores[mine], 0.1)[0].tolist()
    want = torch.tensor(sorted(want, key=lambda row: -row[5]))
    assert 20 < len(want) < int((scores >= 0.2).sum())
    assert torch.allclose(found.scores, want[:, 5])
    canonical = RotatedBoxes(want[:, :5]).regularize_boxes('le90')
    assert torch.allclose(found.bboxes, canonical, atol=1e-5)
    halves = [
        _view(boxes[i::2].tolist(), scores[i::2].tolist(), labels[i::2].tolist())
        for i in range(2)
    ]
    assert torch.equal(
        _merge_views(*halves, score_thr=0.2, max_per_img=7).scores, found.scores[:7]
    )


def test_classes_do_not_suppress_each_other_beyond_the_border():
    """mmcv moves class 1 onto class 0 where a centre is left of the image."""
    size = [80.0, 80.0, 0.0]
    boxes = [[100.0, 100.0, *size], [-60.0, -60.0, *size]]
    assert len(_merge_views(_view(boxes, [0.9, 0.8], [0, 1])).bboxes) == 2


@pytest.mark.parametrize('change', ['rounding', 'width'])
def test_near_copies_do_not_survive(change):
    """The compiled IoU is 0 for some boxes whose edges lie on one line."""
    random = torch.Generator().manual_seed(2)
    count, survived = 400, 0
    unit = torch.rand(count, 5, generator=random)
    size = torch.tensor([30.0, 30, 30, 10, 3]), torch.tensor([0, 0, 10.0, 5, -1.5])
    boxes = unit * size[0] + size[1]
    # Side by side, so that each can only suppress its copy.
    places = torch.arange(count)
    boxes[:, 0] += places % 20 * 100
    boxes[:, 1] += places // 20 * 100
    copies = boxes.clone()
    if change == 'rounding':
        copies[:, 4] = torch.nextafter(boxes[:, 4], torch.tensor(9.0))
    else:
        copies[:, 2] += 0.25 * torch.rand(count, generator=random)
    for one, other in zip(boxes, copies, strict=True):
        pair = torch.stack([one, other])
        survived += len(nms_rotated(pair, torch.tensor([0.9, 0.8]), 0.1)[1]) - 1
    assert bool(survived) == is_compiled(), 'is the noise needed any more?'
    views = [
        _view(rows.tolist(), [score] * count, [0] * count)
        for rows, score in ((boxes, 0.9), (copies, 0.8))
    ]
    found = _merge_views(*views)
    assert found.scores.tolist() == pytest.approx([0.9] * count)


def test_views_without_boxes():
    nothing = _view([], [], [])
    found = _merge_views(nothing, _view([], [], []))
    assert found.bboxes.shape == (0, 5)
    assert found.scores.shape == found.labels.shape == (0,)
    one = _view([[50.0, 40.0, 20.0, 10.0, 0.5]], [0.7], [2])
    found = _merge_views(_view([], [], []), one)
    assert torch.allclose(found.bboxes, torch.tensor([[50.0, 40.0, 20.0, 10.0, 0.5]]))
    assert found.labels.tolist() == [2]
    assert not len(_merge_views(one, score_thr=0.8).bboxes)


@pytest.mark.parametrize('key', ['homography_matrix', 'scale_factor', 'ori_shape'])
def test_missing_meta_information_is_named(key):
    meta = _view([], [], []).metainfo
    meta.pop(key)
    with pytest.raises(KeyError, match=rf"scene\.png: the view has no \['{key}'\]"):
        original_from_view(meta)


@pytest.mark.parametrize(
    'matrix',
    [
        [[-1, 0, WIDTH + 4], [0, 1, 0], [0, 0, 1]],  # padded, then flipped
        [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]],  # resized twice
        [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]],  # turned by another angle
        [[1, 0, -3], [0, 1, 0], [0, 0, 1]],  # cropped
    ],
)
def test_other_geometry_is_refused(matrix):
    meta = {**_view([], [], []).metainfo, 'homography_matrix': np.array(matrix)}
    with pytest.raises(ValueError, match=r'scene\.png: a view with .* 120x200 px; exp'):
        original_from_view(meta)


def test_settings_are_checked():
    said = r"tta_cfg: the keys \['iou', .*expected \['nms', 'max_per_img', 'score_thr'"
    with pytest.raises(KeyError, match=said):
        OrientedTTAModel(_Oracle(), {**CFG, 'iou': 0.1})
    with pytest.raises(KeyError, match='tta_cfg: the keys'):
        OrientedTTAModel(_Oracle(), dict(nms=CFG['nms']))


def _leaf(tmp_path, change=''):
    path = tmp_path / 'leaf.py'
    path.write_text(f'_base_ = [{str(ROOT / "configs/_base_/tta_det.py")!r}]\n{change}')
    return Config.fromfile(path)


def test_config_merges_the_eight_symmetries(tmp_path):
    cfg = _leaf(tmp_path)
    path = tmp_path / 'scene.png'
    assert cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    model = MODELS.build({**cfg.tta_model, 'module': _Oracle()})
    boxes = _boxes()
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
        _assert_same(found.double(), boxes, pixels=1e-3)
        # A perfect detector: the file's boxes as they lie in the view.
        there = RotatedBoxes(boxes.float()).convert_to('qbox')
        there.project_(view.homography_matrix)
        there = there.convert_to('rbox')
        view.gt_instances.bboxes = there
    merged = model.test_step(pseudo_collate([results]))[0]
    assert merged.dataset_name == 'ports'
    # Corners that two axes scale by 5.12 and 5.117 make no exact rectangle.
    found = _by_place(merged.pred_instances).double()
    _assert_same(found, boxes, pixels=0.02, angle=1e-3)


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
    views = [[_flip(flip)], [dict(type='s5_mm.Rotate90', k=k)]]
    pipeline = _pipeline(views, dict(scale_factor=1.0, keep_ratio=True))
    compared = 0
    for file in files:
        image = cv2.imread(str(file))[:200]  # not square
        results = _results(torch.zeros(0, 5), np.zeros(0, int))
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
