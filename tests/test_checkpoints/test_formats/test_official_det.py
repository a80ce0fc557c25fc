"""Oriented detectors of the release give its boxes from its files."""

import math
import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import roi_align_rotated
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmrotate.structures.bbox import RotatedBoxes

from s5_mm.checkpoints import CheckpointError, convert, find_format, load_into
from s5_mm.engine.hooks import CheckpointFitHook
from tests.test_models.test_detectors.oriented import build, config

from . import release

CLASSES = dict(diorr=20, dotav2=18)
NAMES = dict(diorr='dior', dotav2='dota')


@pytest.fixture(scope='module')
def state():
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in release.detector().items()
    }


def _model():
    cfg = config(
        names='',
        datasets={name: dict(num_classes=n) for name, n in CLASSES.items()},
    )
    cfg.backbone.update(
        arch=dict(
            embed_dims=release.WIDTH,
            num_layers=release.DEPTH,
            num_heads=release.HEADS,
            out_indices=(0, 1, 2, 3),
        ),
        img_size=release.SIZE,
        patch_size=16,
        norm_eps=1e-5,
        part_features=release.PART,
    )
    cfg.detector.neck.in_channels = [release.WIDTH] * 4
    cfg.detector.roi_head.bbox_roi_extractor.extend_factor = (1.2, 1.4)
    return build(cfg, seed=1).eval()


def _pooled(maps, boxes):
    """Features of boxes (n, 5), counter-clockwise, enlarged, from their level."""
    found = []
    for box in boxes:
        x, y, w, h, angle = box.tolist()
        w, h = 1.2 * w, 1.4 * h
        level = math.floor(math.log2(math.sqrt(w * h) / 56 + 1e-6))
        level = min(max(level, 0), 3)
        roi = torch.tensor([[0.0, x, y, w, h, angle]])
        scale = 1 / (4 * 2**level)
        found.append(roi_align_rotated(maps[level], roi, (7, 7), scale, 2, True, False))
    return torch.cat(found)


def _corners(x, y, w, h, angle, turn):
    """Corners (4, 2) of a box whose angle grows clockwise (turn 1) or not (-1)."""
    u = (math.cos(angle), turn * math.sin(angle))
    v = (-turn * math.sin(angle), math.cos(angle))
    return [
        (x + a * w * u[0] + b * h * v[0], y + a * w * u[1] + b * h * v[1])
        for a, b in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    ]


def _releases_boxes(state, dataset, maps, boxes):
    """Scores (n, K + 1) and corners of the decoded boxes of the release's RoI head."""
    head = f'roi_head_{dataset}.bbox_head.'

    def affine(x, name):
        return x @ state[f'{head}{name}.weight'].T + state[f'{head}{name}.bias']

    x = _pooled(maps, boxes).flatten(1)
    x = affine(affine(x, 'shared_fcs.0').relu(), 'shared_fcs.1').relu()
    scores, deltas = affine(x, 'fc_cls').softmax(-1), affine(x, 'fc_reg')
    found = []
    for (x, y, w, h, angle), delta in zip(boxes.tolist(), deltas.tolist(), strict=True):
        steps = zip(delta, (0.1, 0.1, 0.2, 0.2, 0.1), strict=True)
        dx, dy, dw, dh, turned = (d * std for d, std in steps)
        # The frame of the box: its first axis points up for a positive angle.
        first = (math.cos(angle), -math.sin(angle))
        second = (math.sin(angle), math.cos(angle))
        x += dx * w * first[0] + dy * h * second[0]
        y += dx * w * first[1] + dy * h * second[1]
        w, h = w * math.exp(dw), h * math.exp(dh)
        found.append(_corners(x, y, w, h, angle + turned, turn=-1))
    return scores, found


def _same_corners(a, b, tolerance):
    """Compare two boxes as sets of corners, whichever edge comes first."""
    return all(min(math.dist(p, q) for q in b) < tolerance for p in a)


@pytest.mark.parametrize('name', CLASSES)
def test_boxes_and_scores_are_the_releases(name, state):
    model = _model()
    assert find_format(state).name == 'official-s5-det'
    report = load_into(model, {'state_dict': state, 'meta': {}}, 'det.pth')
    assert report.missing == report.mismatched == []
    assert report.not_used == ['backbone.cls_token']
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.randn(1, 32, side, side, generator=generator) for side in (64, 32, 16, 8)
    ]
    low = torch.tensor([60.0, 60.0, 60.0, 20.0, -1.5])
    span = torch.tensor([120.0, 120.0, 90.0, 30.0, 3.0])
    boxes = low + span * torch.rand(12, 5, generator=generator)
    scores, corners = _releases_boxes(state, NAMES[name], maps, boxes)
    roi_head = model.detectors[name].roi_head
    clockwise = boxes * torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0])
    rois = torch.cat([torch.zeros(len(boxes), 1), clockwise], 1)
    with torch.no_grad():
        found = roi_head._bbox_forward(maps, rois)
        decoded = roi_head.bbox_head.bbox_coder.decode(
            RotatedBoxes(clockwise), found['bbox_pred']
        )
    torch.testing.assert_close(found['cls_score'].softmax(-1), scores)
    angles = [box[4] for box in decoded.tensor.tolist()]
    assert max(angles) - min(angles) > 1  # or the sign would not be seen
    for box, expected in zip(decoded.tensor.tolist(), corners, strict=True):
        assert _same_corners(_corners(*box, turn=1), expected, 1e-2)


@pytest.mark.parametrize('name', CLASSES)
def test_features_pass_through_the_data_sets_expert(name, state):
    model = _model()
    load_into(model, {'state_dict': state}, 'det.pth')
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(1, 3, release.SIZE, release.SIZE, generator=generator)
    expected = release.features(state, images, 'backbone.', list(CLASSES).index(name))
    slices = [SimpleNamespace(name=name, start=0, stop=1)]
    with torch.no_grad():
        found = model.backbone(images, slices=slices)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_only_the_row_of_the_angle_changes(state):
    converted = convert(state)
    for name, old in converted.source.items():
        new, before = converted.state[name], state[old]
        if 'fc_reg' not in name:
            assert torch.equal(new, before)
            continue
        assert torch.equal(new[4], -before[4])
        assert torch.equal(new[:4], before[:4])
    assert len([name for name in converted.state if 'fc_reg' in name]) == 4


def _fit(model, state, classes, **kwargs):
    """Load through the hook; return what it gives to the runner."""
    datasets = {name: dict(classes=names) for name, names in classes.items()}
    dataset = SimpleNamespace(metainfo=dict(datasets=datasets))
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    runner = SimpleNamespace(
        model=model,
        logger=MMLogger.get_current_instance(),
        _load_from='det.pth',
        work_dir='',
        _train_loop=loop,
        _test_loop=None,
        _val_loop=None,
    )
    # What mmcv 1 wrote: the classes of one data set only.
    checkpoint = dict(state_dict=dict(state), meta=dict(CLASSES=['of', 'dior']))
    CheckpointFitHook(**kwargs).after_load_checkpoint(runner, checkpoint)
    return checkpoint['state_dict']


def _configured():
    base = 'configs/_base_/datasets/'
    own = {name: Config.fromfile(f'{base}{name}.py')[name] for name in CLASSES}
    return {name: list(cfg.train.metainfo.classes) for name, cfg in own.items()}, own


def test_classes_are_brought_into_the_datas_order(state):
    classes, own = _configured()
    toolkit = list(own['dotav2'].bbox_toolkit_classes)
    assert toolkit != classes['dotav2']
    found = _fit(_model(), state, classes)
    before = state['roi_head_dota.bbox_head.fc_cls.weight']
    after = found['detectors.dotav2.roi_head.bbox_head.fc_cls.weight']
    for row, name in enumerate(classes['dotav2']):
        assert torch.equal(after[row], before[toolkit.index(name)])
    assert torch.equal(after[-1], before[-1])  # background
    assert torch.equal(
        found['detectors.diorr.roi_head.bbox_head.fc_cls.weight'],
        state['roi_head_dior.bbox_head.fc_cls.weight'],
    )


def test_other_classes_are_refused(state):
    classes, _ = _configured()
    classes['dotav2'][3] = 'windmill'
    with pytest.raises(CheckpointError, match=r'^det.pth: its class layers are for 18'):
        _fit(_model(), state, classes)


def test_experts_of_other_data_sets_are_refused():
    state = release.detector(experts=3)
    expected = "it has experts [0, 1, 2] and heads for ['dior', 'dota']"
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        convert(state)


def test_a_single_layer_of_the_reimplementation_is_that_of_torch(state):
    """The reference above is itself right about pooling: level and enlargement."""
    maps = [torch.ones(1, 2, side, side) * side for side in (64, 32, 16, 8)]
    boxes = torch.tensor([[128.0, 128.0, 40.0, 20.0, 0.3], [128, 128, 160, 90, 0.3]])
    small, large = _pooled(maps, boxes)
    assert F.l1_loss(small, torch.full_like(small, 64.0)) < 1e-4
    assert F.l1_loss(large, torch.full_like(large, 32.0)) < 1e-5
