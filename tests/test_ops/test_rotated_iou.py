"""Overlaps of rotated boxes, against clipping polygons in double precision."""

import math

import pytest
import torch

from s5_mm.ops.operators import box_iou_rotated
from s5_mm.ops.rotated_iou import near_pairs, pair_overlaps

from ..support.mmcv_ops import needs_compiled
from ..test_evaluation.oriented import slow_iou
from .boxes import many_boxes


def test_pairs_that_are_not_near_have_no_overlap(monkeypatch):
    monkeypatch.setattr('s5_mm.ops.rotated_iou._COMPARED_AT_ONCE', 700)
    monkeypatch.setattr('s5_mm.ops.rotated_iou._PAIRS_AT_ONCE', 90)
    boxes, _, labels = many_boxes(0, 60)
    others, _, other_labels = many_boxes(1, 50)
    i, j = near_pairs(boxes, others, labels, other_labels)
    pairs = list(zip(i.tolist(), j.tolist(), strict=True))
    assert pairs == sorted(pairs)
    ious = dict(zip(pairs, pair_overlaps(boxes[i], others[j]).tolist(), strict=True))
    everywhere = set(zip(*(x.tolist() for x in near_pairs(boxes, others)), strict=True))
    overlapping = 0
    for a in range(60):
        for b in range(50):
            want = slow_iou(boxes[a], others[b])
            assert want == 0 or (a, b) in everywhere
            if labels[a] != other_labels[b]:
                assert (a, b) not in ious
            else:
                assert ious.get((a, b), 0) == pytest.approx(want, abs=1e-6)
                overlapping += want > 0
    assert overlapping > 100
    assert len(ious) < 60 * 50 / 3


@pytest.mark.parametrize(
    'change',
    ['rounding', 'along', 'across', 'upright', 'quarter', 'half', 'inside', 'none'],
)
def test_overlap_is_right_where_edges_lie_on_one_line(change):
    boxes, _, _ = many_boxes(4, 400)
    boxes[:, 2:4] += 5
    if change == 'upright':
        boxes[:, 4] = 0
    others = boxes.clone()
    cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
    if change == 'rounding':
        noise = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
        others[:, :2] += noise * 5e-5
    elif change == 'along':
        others[:, :2] += torch.stack((cos, sin), dim=1) * 4
    elif change == 'across':
        others[:, :2] += torch.stack((-sin, cos), dim=1) * 4
    elif change == 'upright':
        others[:, 0] += 3
    elif change == 'quarter':  # the same box, written in another way
        others[:, 2:4] = boxes[:, 2:4].flip(1)
        others[:, 4] -= math.pi / 2
    elif change == 'half':  # likewise; mmcv's operator has 8 % of these below 0.99
        others[:, 4] -= math.pi
    elif change == 'inside':
        others[:, 2] /= 2
    got = pair_overlaps(boxes, others)
    want = [slow_iou(*pair) for pair in zip(boxes, others, strict=True)]
    assert got.tolist() == pytest.approx(want, abs=1e-6)
    assert pair_overlaps(others, boxes).tolist() == pytest.approx(want, abs=1e-6)
    assert (got > 0.2).all()
    if change in ('quarter', 'half'):
        assert (got > 0.99999).all()
    if change == 'none':
        assert (got == 1).all()


def test_thresholds_are_reached_exactly_and_boxes_without_area_are_no_trouble():
    boxes = torch.tensor([[10.0, 10, 8, 4, 0]] * 5)
    others = torch.tensor(
        [
            [10.0, 10, 4, 4, 0],
            [10, 10, 6, 4, 0],
            [10, 10, 0, 4, 0],
            [10, 10, -3, 4, 0],
            [18, 10, 8, 4, 0],  # they touch
        ]
    )
    want = [0.5, 0.75, 0, 0, 0]
    assert pair_overlaps(boxes, others).tolist() == pytest.approx(want, abs=1e-7)
    assert pair_overlaps(others, boxes).tolist() == pytest.approx(want, abs=1e-7)
    assert pair_overlaps(boxes[:2], others[:2]).tolist() == want[:2]
    assert pair_overlaps(others[2:3], others[2:3]).tolist() == [0]


def test_share_of_the_first_box():
    large, small = (
        torch.tensor([[0.0, 0, 8, 4, 0.5]]),
        torch.tensor([[0.0, 0, 2, 4, 0.5]]),
    )
    assert pair_overlaps(large, small, 'iof').tolist() == [0.25]
    assert pair_overlaps(small, large, 'iof').tolist() == [1]
    assert pair_overlaps(small[:0], large[:0]).tolist() == []


def test_operator_ignores_scores_behind_the_boxes():
    """mmrotate's AP passes its detections as they are, (n, 6)."""
    boxes, scores, _ = many_boxes(6, 40)
    behind = torch.cat((boxes, scores[:, None]), dim=1)
    for aligned, count in ((False, 40 * 40), (True, 40)):
        want, found = torch.zeros(count), torch.zeros(count)
        box_iou_rotated(boxes, boxes, want, 0, aligned)
        box_iou_rotated(behind, behind, found, 0, aligned)
        assert want.any()
        assert torch.equal(found, want)


@needs_compiled
@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('aligned', [False, True])
def test_operator_equals_the_compiled_one(mode, aligned):
    from mmcv.ops import box_iou_rotated as compiled

    boxes, others = many_boxes(0, 60)[0], many_boxes(1, 60)[0]
    want = compiled(boxes, others, mode, aligned)
    got = torch.zeros_like(want)
    box_iou_rotated(boxes, others, got.view(-1), ['iou', 'iof'].index(mode), aligned)
    # In single precision as the compiled one, which rounds corners at 150 px to 1e-5.
    torch.testing.assert_close(got, want, rtol=0, atol=5e-5)
    assert (want > 0.01).sum() > (2 if aligned else 300)
