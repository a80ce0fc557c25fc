"""Quarter turns move every pixel and every box exactly."""

import math

import numpy as np
import pytest
import torch

from s5_mm.datasets.transforms import RandomRotate90, Rotate90
from s5_mm.registry import TRANSFORMS
from s5_mm.utils.box_mapping import map_boxes, quarter_turn

HEIGHT, WIDTH = 30, 50


def _corners(box):
    """Corners of (cx, cy, w, h, angle) from the definition, (4, 2)."""
    cx, cy, w, h, angle = (float(value) for value in box)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array(
        [
            (cx + x * cos - y * sin, cy + x * sin + y * cos)
            for x, y in ((w / 2, h / 2), (w / 2, -h / 2), (-w / 2, -h / 2))
            + ((-w / 2, h / 2),)
        ]
    )


def _turned(point, k):
    """One turn after the other, from the picture in one's head."""
    x, y, width, height = *point, WIDTH, HEIGHT
    for _ in range(k):
        x, y = y, width - x
        width, height = height, width
    return x, y


def _same_rectangle(one, other):
    return all(min(np.abs(point - other).max(axis=1)) < 1e-9 for point in one) and all(
        min(np.abs(point - one).max(axis=1)) < 1e-9 for point in other
    )


def _boxes(count=40, dtype=torch.float64):
    random = torch.Generator().manual_seed(3)
    unit = torch.rand(count, 5, generator=random, dtype=torch.float64)
    scale = torch.tensor([WIDTH, HEIGHT, 20, 10, math.pi], dtype=torch.float64)
    shift = torch.tensor([0, 0, 1, 1, -math.pi / 2], dtype=torch.float64)
    boxes = unit * scale + shift
    boxes[0, 4], boxes[1, 4] = -math.pi / 2, 0
    return boxes.to(dtype)


@pytest.mark.parametrize('k', range(4))
@pytest.mark.parametrize('channels', [(), (1,), (3,)])
def test_image_is_turned_as_numpy_does(k, channels):
    image = np.random.default_rng(0).integers(
        0, 256, (HEIGHT, WIDTH, *channels), dtype=np.uint8
    )
    labels = image.reshape(HEIGHT, WIDTH, -1)[..., 0].copy()
    results = dict(
        img=image.copy(),
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        scale_factor=(2.0, 3.0),
        gt_seg_map=labels,
        other_map=labels + 1,
        seg_fields=['gt_seg_map', 'other_map'],
    )
    out = TRANSFORMS.build(dict(type='s5_mm.Rotate90', k=k))(results)
    want = np.rot90(image, k)
    assert np.array_equal(out['img'].reshape(want.shape), want)
    assert np.array_equal(out['gt_seg_map'], np.rot90(labels, k))
    assert np.array_equal(out['other_map'], np.rot90(labels + 1, k))
    assert out['img'].flags.c_contiguous
    assert out['img_shape'] == want.shape[:2]
    assert out['ori_shape'] == (HEIGHT, WIDTH)
    assert out['rot90'] == k
    assert out['scale_factor'] == ((3.0, 2.0) if k % 2 else (2.0, 3.0))


@pytest.mark.parametrize('k', range(4))
def test_boxes_go_with_the_pixels(k):
    """A box around one pixel stays around that pixel."""
    matrix = quarter_turn((HEIGHT, WIDTH), k)
    image = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    turned = np.rot90(image, k)
    for row, column in ((0, 0), (4, 9), (HEIGHT - 1, 17), (12, WIDTH - 1)):
        box = torch.tensor([[column + 0.5, row + 0.5, 1, 1, 0.0]])
        x, y = (map_boxes(box, matrix)[0, :2] - 0.5).tolist()
        assert turned[int(y), int(x)] == image[row, column]


@pytest.mark.parametrize('k', range(4))
def test_rotated_boxes_are_mapped_like_their_corners(k):
    boxes = _boxes()
    mapped = map_boxes(boxes, quarter_turn((HEIGHT, WIDTH), k))
    assert torch.equal(mapped[:, 2:4], boxes[:, 2:4])
    assert ((mapped[:, 4] >= -math.pi / 2) & (mapped[:, 4] < math.pi / 2)).all()
    for before, after in zip(boxes, mapped, strict=True):
        want = np.array([_turned(point, k) for point in _corners(before)])
        assert _same_rectangle(want, _corners(after))


@pytest.mark.parametrize(
    'matrix',
    [
        [[-1, 0, WIDTH], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 3], [0, -1, HEIGHT], [0, 0, 1]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
        [[0, -1, 7], [-1, 0, 9], [0, 0, 1]],
    ],
)
def test_flips_and_transpositions(matrix):
    boxes = _boxes()
    for before, after in zip(boxes, map_boxes(boxes, np.array(matrix)), strict=True):
        want = _corners(before) @ np.array(matrix)[:2, :2].T + np.array(matrix)[:2, 2]
        assert _same_rectangle(want, _corners(after))


def test_quadrilaterals_keep_their_order_of_corners():
    quads = torch.from_numpy(np.stack([_corners(box).ravel() for box in _boxes()]))
    mapped = map_boxes(quads, quarter_turn((HEIGHT, WIDTH), 3))
    want = [
        [_turned(point, 3) for point in quad.reshape(4, 2).tolist()] for quad in quads
    ]
    assert np.allclose(mapped.reshape(-1, 4, 2), want, atol=1e-12)


def test_four_turns_and_two_halves():
    shape, boxes = (HEIGHT, WIDTH), _boxes(dtype=torch.float32)
    once = map_boxes(boxes, quarter_turn(shape, 1))
    back = map_boxes(once, quarter_turn(shape[::-1], 3))
    assert torch.allclose(back, boxes, atol=2e-6)
    assert np.array_equal(quarter_turn(shape, 4), np.eye(3))
    twice = quarter_turn(shape[::-1], 1) @ quarter_turn(shape, 1)
    assert np.array_equal(twice, quarter_turn(shape, 2))


@pytest.mark.parametrize('k', range(4))
@pytest.mark.parametrize('kind', ['rbox', 'qbox'])
def test_host_boxes(k, kind):
    boxes = pytest.importorskip('mmrotate.structures', reason='part of the extra det')
    rotated = boxes.RotatedBoxes(_boxes())
    given = rotated if kind == 'rbox' else rotated.convert_to('qbox')
    results = dict(img=np.zeros((HEIGHT, WIDTH, 3), np.uint8), gt_bboxes=given.clone())
    out = Rotate90(k)(results)
    assert type(out['gt_bboxes']) is type(given)
    matrix = torch.from_numpy(quarter_turn((HEIGHT, WIDTH), k))
    want = rotated.convert_to('qbox').clone()
    want.project_(matrix)
    found = out['gt_bboxes'].convert_to('qbox').tensor.reshape(-1, 4, 2)
    for one, other in zip(found, want.tensor.reshape(-1, 4, 2), strict=True):
        assert _same_rectangle(one.numpy(), other.numpy())


def test_homography_composes_with_what_was_before():
    before = np.diag([2, 2, 1]).astype(np.float32)
    results = dict(img=np.zeros((60, 100, 3), np.uint8), homography_matrix=before)
    out = Rotate90(1)(results)['homography_matrix']
    assert out.dtype == np.float32
    # (10, 5) -> resized (20, 10) -> turned (10, 100 - 20)
    assert (out @ [10, 5, 1]).tolist() == [10, 80, 1]
    fresh = Rotate90(0)(dict(img=np.zeros((60, 100, 3), np.uint8)))
    assert np.array_equal(fresh['homography_matrix'], np.eye(3))


def test_random_turns_are_those_of_the_generator():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    np.random.seed(0)
    transform = RandomRotate90(prob=0.5, ks=(1, 3))
    turns = [transform(dict(img=image))['rot90'] for _ in range(400)]
    assert set(turns) == {0, 1, 3}
    assert 160 < turns.count(0) < 240
    assert 70 < turns.count(1) < 130
    np.random.seed(0)
    assert turns == [transform(dict(img=image))['rot90'] for _ in range(400)]
    assert {RandomRotate90(0.0)(dict(img=image))['rot90'] for _ in range(20)} == {0}


@pytest.mark.parametrize('key', ['gt_masks', 'gt_keypoints', 'proposals', 'valid_rect'])
@pytest.mark.parametrize('k', [0, 1])
def test_what_cannot_be_turned_is_refused(key, k):
    results = dict(img=np.zeros((3, 4, 3), np.uint8), img_path='a.png')
    with pytest.raises(ValueError, match=rf"a\.png: \['{key}'\] found, quarter turns"):
        Rotate90(k)({**results, key: (0, 0, 4, 3)})


def test_other_boxes_are_refused():
    results = dict(img=np.zeros((3, 4, 3), np.uint8), img_path='a.png')
    with pytest.raises(ValueError, match=r'a\.png: gt_bboxes of ndarray found'):
        Rotate90()({**results, 'gt_bboxes': np.zeros((1, 5))})
    boxes = pytest.importorskip('mmdet.structures.bbox', reason='part of the extra det')
    with pytest.raises(ValueError, match=r'gt_bboxes of HorizontalBoxes found'):
        Rotate90()({**results, 'gt_bboxes': boxes.HorizontalBoxes(torch.ones(1, 4))})


def test_arguments_are_checked():
    with pytest.raises(ValueError, match='k=4, allowed are 0, 1, 2 and 3'):
        Rotate90(4)
    with pytest.raises(ValueError, match='ks=-1, allowed are'):
        RandomRotate90(ks=(1, -1))
    with pytest.raises(ValueError, match=r'ks=\(\), expected at least one'):
        RandomRotate90(ks=())
    with pytest.raises(ValueError, match=r'prob=1\.5, expected 0 to 1'):
        RandomRotate90(prob=1.5)
    with pytest.raises(ValueError, match=r'shape \(2, 4\) found, expected \(n, 5\)'):
        map_boxes(torch.ones(2, 4), np.eye(3))
    for wrong in (np.diag([2.0, 1, 1]), np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]])):
        with pytest.raises(ValueError, match='expected flips, quarter turns and tra'):
            map_boxes(torch.ones(2, 5), wrong)
