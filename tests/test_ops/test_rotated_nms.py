"""Suppression of rotated and upright boxes, against the greedy loop."""

import pytest
import torch

from s5_mm.ops.operators import nms, nms_rotated
from s5_mm.ops.rotated_nms import suppress_rotated

from ..support.mmcv_ops import needs_compiled
from ..test_evaluation.oriented import slow_iou
from .boxes import many_boxes


def _order(scores):
    return scores.argsort(descending=True)


def _greedy(boxes, scores, labels, iou_thr, overlap):
    kept = []
    for k in sorted(range(len(boxes)), key=lambda k: -scores[k]):
        rivals = (j for j in kept if labels[j] == labels[k])
        if all(overlap(boxes[k], boxes[j]) < iou_thr for j in rivals):
            kept.append(k)
    return kept


@pytest.mark.parametrize('iou_thr', [0.05, 0.1, 0.5])
def test_equals_the_greedy_loop_class_by_class(iou_thr):
    boxes, scores, labels = many_boxes(2)
    got = suppress_rotated(boxes, _order(scores), labels, iou_thr).tolist()
    assert got == _greedy(boxes, scores, labels, iou_thr, slow_iou)
    single = suppress_rotated(boxes, _order(scores), None, iou_thr).tolist()
    assert single == _greedy(boxes, scores, labels * 0, iou_thr, slow_iou)
    assert 3 < len(single) < len(got) < len(boxes)


def test_a_chain_of_boxes_is_decided_from_its_best_one():
    """Each overlaps the next alone, so every second one is kept."""
    count = 31
    boxes = torch.tensor([[8.0 * k, 0, 10, 10, 0] for k in range(count)])
    scores = torch.linspace(1, 0.1, count)
    kept = suppress_rotated(boxes, _order(scores), None, 0.1)
    assert kept.tolist() == list(range(0, count, 2))


def test_of_equal_boxes_the_first_in_order_is_kept():
    boxes = torch.tensor([[50.0, 50, 40, 20, 0.3]] * 30 + [[500, 50, 40, 20, 0]])
    kept = suppress_rotated(boxes, torch.arange(31), None, 0.1)
    assert kept.tolist() == [0, 30]
    none = boxes[:0]
    assert suppress_rotated(none, torch.arange(0), None, 0.1).tolist() == []


def test_a_threshold_of_zero_suppresses_what_overlaps_at_all():
    boxes = torch.tensor([[0.0, 0, 10, 10, 0], [9, 0, 10, 10, 0], [99, 0, 10, 10, 0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert suppress_rotated(boxes, _order(scores), None, 0.0).tolist() == [0, 2]


def test_the_operator_keeps_classes_apart():
    """mmcv's function of the CPU ignores the labels."""
    boxes, scores, labels = many_boxes(2)
    with_labels = torch.cat((boxes, labels[:, None]), dim=1)
    got = nms_rotated(with_labels, scores, _order(scores), None, labels, 0.1, True)
    assert got.tolist() == _greedy(boxes, scores, labels, 0.1, slow_iou)
    got = nms_rotated(boxes, scores, _order(scores), None, labels[:0], 0.1, False)
    assert got.tolist() == _greedy(boxes, scores, labels * 0, 0.1, slow_iou)


@pytest.mark.parametrize('offset', [0, 1])
def test_upright_boxes_are_suppressed_above_the_threshold(offset):
    def overlap(one, other):
        low, high = torch.maximum(one, other)[:2], torch.minimum(one, other)[2:]
        shared = (high - low + offset).clamp(min=0).prod()
        areas = sum((box[2:] - box[:2] + offset).prod() for box in (one, other))
        return float(shared / (areas - shared))

    boxes, scores, _ = many_boxes(3, 80)
    boxes = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]), dim=1).round()
    got = nms(boxes, scores, 0.3, offset).tolist()
    labels = torch.zeros(80)
    assert got == _greedy(boxes, scores, labels, 0.3000001, overlap)
    # 50 of 150 px are shared, with inclusive borders 66 of 176.
    pair = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    above, below = ((0.32, 0.34), (0.37, 0.38))[offset]
    assert len(nms(pair, scores[:2], above, offset)) == 1
    assert len(nms(pair, scores[:2], below, offset)) == 2


@needs_compiled
@pytest.mark.parametrize('iou_thr', [0.05, 0.1, 0.5])
def test_operators_equal_the_compiled_ones(iou_thr):
    import mmcv.ops

    boxes, scores, _ = many_boxes(2)
    scores = (scores * 9).round() / 9  # many are equal
    _, want = mmcv.ops.nms_rotated(boxes, scores, iou_thr)
    order = scores.sort(0, descending=True).indices
    assert suppress_rotated(boxes, order, None, iou_thr).tolist() == want.tolist()
    upright = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]), dim=1)
    for offset in (0, 1):
        _, want = mmcv.ops.nms(upright, scores, iou_thr, offset)
        assert nms(upright, scores, iou_thr, offset).tolist() == want.tolist()
