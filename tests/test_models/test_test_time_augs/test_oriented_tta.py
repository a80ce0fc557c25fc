"""Merged views of an image give the boxes of the image itself."""

import copy

import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')
from mmcv.ops import nms_rotated
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmrotate.structures import RotatedBoxes

from s5_mm.models.test_time_augs.oriented_tta import (
    OrientedTTAModel,
    original_from_view,
)
from s5_mm.ops import is_compiled

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

FLIPS = (None, 'horizontal', 'vertical', 'diagonal')


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmrotate')


def _merge(pipeline, results, module=None, **settings):
    model = OrientedTTAModel(module or Oracle(), {**CFG, **settings})
    data = pseudo_collate([pipeline(copy.deepcopy(one)) for one in results])
    return model.test_step(data)


@pytest.mark.parametrize('k', range(4))
@pytest.mark.parametrize('flip', FLIPS)
def test_each_view_is_undone(flip, k):
    boxes = far_boxes()
    views = [[mirror(flip)], [dict(type='s5_mm.Rotate90', k=k)]]
    (merged,) = _merge(view_pipeline(views), [loaded(boxes, range(12))])
    assert merged.img_shape == ((320, 192) if k % 2 else (192, 320))
    assert_same(by_place(merged.pred_instances), boxes)


def test_sixteen_views_give_each_box_once():
    boxes, count = far_boxes(), 16
    views = [
        [mirror(flip) for flip in FLIPS],
        [dict(type='s5_mm.Rotate90', k=k) for k in range(4)],
    ]
    pipeline = view_pipeline(views)
    assert len(pipeline.subroutines) == count
    module = Oracle(lambda view: 0.3 + view / 100)
    (merged,) = _merge(pipeline, [loaded(boxes, range(12))], module)
    assert module.calls == count
    assert_same(by_place(merged.pred_instances), boxes)
    # The most confident view's score.
    assert torch.allclose(
        merged.pred_instances.scores,
        torch.full((12,), 0.3 + 15 / 100, dtype=torch.float64),
    )
    assert sorted(merged.pred_instances.labels.tolist()) == list(range(12))


@pytest.mark.parametrize('flip', FLIPS)
def test_turn_before_flip_is_undone_too(flip):
    boxes = far_boxes()
    views = [[dict(type='s5_mm.Rotate90', k=1)], [mirror(flip)]]
    (merged,) = _merge(view_pipeline(views), [loaded(boxes, range(12))])
    assert_same(by_place(merged.pred_instances), boxes)


def test_views_agree_where_the_axes_are_resized_differently():
    """The host's rescaling of a rotated box is no rectangle's; all views share it."""
    boxes = far_boxes()
    resize = dict(scale=(300, 240), keep_ratio=False)  # 1.5 by 2
    plain = RotatedBoxes(boxes)
    plain.rescale_((1.5, 2))
    plain.rescale_((1 / 1.5, 1 / 2))
    wanted = plain.regularize_boxes('le90')
    for flip in FLIPS:
        for k in range(4):
            views = [[mirror(flip)], [dict(type='s5_mm.Rotate90', k=k)]]
            (merged,) = _merge(view_pipeline(views, resize), [loaded(boxes, range(12))])
            assert_same(by_place(merged.pred_instances), wanted)


def test_boxes_in_the_precision_of_a_model():
    boxes = far_boxes().float()
    views = [
        [mirror(flip) for flip in FLIPS],
        [dict(type='s5_mm.Rotate90', k=k) for k in range(4)],
    ]
    (merged,) = _merge(view_pipeline(views), [loaded(boxes, range(12))])
    assert merged.pred_instances.bboxes.dtype == torch.float32
    assert_same(by_place(merged.pred_instances), boxes)


def test_images_of_several_data_sets_stay_apart():
    first, second = far_boxes(), far_boxes()[:5]
    results = [
        loaded(first, range(12), dataset_name='ports'),
        loaded(second, [1] * 5, dataset_name='fields'),
    ]
    views = [
        [mirror(None), mirror('vertical')],
        [dict(type='s5_mm.Rotate90', k=3)],
    ]
    one, other = _merge(view_pipeline(views), results)
    assert (one.dataset_name, other.dataset_name) == ('ports', 'fields')
    assert_same(by_place(one.pred_instances), first)
    assert_same(by_place(other.pred_instances), second)
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
    model = OrientedTTAModel(Oracle(), {**CFG, **settings})
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
        OrientedTTAModel(Oracle(), {**CFG, 'iou': 0.1})
    with pytest.raises(KeyError, match='tta_cfg: the keys'):
        OrientedTTAModel(Oracle(), dict(nms=CFG['nms']))
