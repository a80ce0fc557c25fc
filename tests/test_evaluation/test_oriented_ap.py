"""Oriented AP, against the host's and against counting in double precision."""

import multiprocessing.dummy

import numpy as np
import pytest

from s5_mm.evaluation.oriented_ap import (
    Detections,
    Objects,
    average_precisions,
    match_image,
    oriented_ap,
)

from .oriented import random_image, slow_ap

THRESHOLDS = (0.3, 0.5, 0.75)


def _images(seed, num_classes=4, count=6, **kwargs):
    """Images of many kinds; the last class is never there, and the one before it
    never found."""
    rng = np.random.default_rng(seed)
    images = [random_image(rng, num_classes - 1, **kwargs) for _ in range(count)]
    images.append(random_image(rng, 2, num_gts=0))
    images.append(random_image(rng, 2, num_gts=0, extra=0))
    made = []
    for found, objects in images:
        keep = found.labels != num_classes - 2
        labels = np.where(
            np.arange(keep.sum()) % 7 == 6, num_classes - 1, found.labels[keep]
        )
        made.append(
            (Detections(found.bboxes[keep], found.scores[keep], labels), objects)
        )
    return made


def _check(got, images, num_classes):
    for k in range(num_classes):
        assert got.num_dets[k] == sum((found.labels == k).sum() for found, _ in images)
        for t, iou_thr in enumerate(THRESHOLDS):
            count, recall, ap07, ap12 = slow_ap(images, k, iou_thr)
            assert got.num_gts[k] == count
            if count:
                assert got.recall[t, k] == pytest.approx(recall, abs=1e-12)
                assert got.ap07[t, k] == pytest.approx(ap07, abs=1e-12)
                assert got.ap12[t, k] == pytest.approx(ap12, abs=1e-12)
            else:
                assert np.isnan(
                    [got.recall[t, k], got.ap07[t, k], got.ap12[t, k]]
                ).all()


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('seed', range(4))
def test_figures_equal_counting_in_double_precision(seed, ties):
    images = _images(seed, ties=ties)
    got = oriented_ap(images, 4, THRESHOLDS)
    _check(got, images, 4)
    assert got.num_gts[3] == 0
    assert got.num_dets[3] > 0
    assert got.num_gts[2] > 0
    assert got.num_dets[2] == 0
    assert (got.ap12[0, :2] > got.ap12[2, :2]).all()
    assert (got.ap12[:2, :2] > 0).all()


class _Threads:
    Pool = multiprocessing.dummy.Pool


@pytest.mark.parametrize('seed', range(4))
def test_figures_equal_the_host(seed, monkeypatch):
    pytest.importorskip('mmrotate', reason='part of the extra det')
    from mmrotate.evaluation.functional import mean_ap

    monkeypatch.setattr(mean_ap, 'get_context', lambda method: _Threads)
    images = _images(seed)
    # The host drops the ignored boxes of images without other ones.
    images = [(f, o) for f, o in images if not o.ignored.all() or not len(o.labels)]
    dets = [
        [np.column_stack((f.bboxes, f.scores))[f.labels == k] for k in range(4)]
        for f, _ in images
    ]
    truth = [
        dict(
            bboxes=o.bboxes[~o.ignored],
            labels=o.labels[~o.ignored],
            bboxes_ignore=o.bboxes[o.ignored],
            labels_ignore=o.labels[o.ignored],
        )
        for _, o in images
    ]
    assert sum(o.ignored.sum() for _, o in images) > 3
    got = oriented_ap(images, 4, THRESHOLDS)
    for t, iou_thr in enumerate(THRESHOLDS):
        for values, voc07 in ((got.ap07[t], True), (got.ap12[t], False)):
            mean, classes = mean_ap.eval_rbbox_map(
                dets,
                truth,
                iou_thr=iou_thr,
                use_07_metric=voc07,
                logger='silent',
            )
            assert np.nanmean(values) == pytest.approx(mean, abs=1e-6)
            for k, own in enumerate(classes):
                assert got.num_gts[k] == own['num_gts']
                assert got.num_dets[k] == own['num_dets']
                if own['num_gts']:
                    assert values[k] == pytest.approx(own['ap'], abs=1e-6)
                    recall = own['recall'][-1] if own['recall'].size else 0
                    assert got.recall[t, k] == pytest.approx(recall, abs=1e-6)
                else:
                    assert np.isnan(values[k])


def _one(bboxes, scores, gts, ignored):
    found = Detections(
        np.array(bboxes, np.float32),
        np.array(scores, np.float32),
        np.zeros(len(bboxes), np.int64),
    )
    gts = np.array(gts, np.float32).reshape(-1, 5)
    return found, Objects(gts, np.zeros(len(gts), np.int64), np.array(ignored, bool))


BOX = [50, 50, 40, 20, 0.3]


def test_one_object_counts_once_and_the_higher_score_has_it():
    image = _one([BOX, BOX, BOX], [0.5, 0.9, 0.5], [BOX], [False])
    assert match_image(*image, (0.5,)).tolist() == [[-1, 1, -1]]


def test_equal_scores_keep_their_order():
    image = _one([BOX] * 40, [0.5] * 40, [BOX], [False])
    assert match_image(*image, (0.5,)).tolist() == [[1] + [-1] * 39]


def test_an_ignored_box_takes_detections_also_where_it_is_alone():
    image = _one([BOX, BOX, [200, 50, 40, 20, 0]], [0.9, 0.8, 0.7], [BOX], [True])
    assert match_image(*image, (0.5,)).tolist() == [[0, 0, -1]]


@pytest.mark.parametrize('ignored', [(True, False), (False, True)])
def test_of_equal_boxes_the_one_that_counts_is_taken(ignored):
    image = _one([BOX], [0.9], [BOX, BOX], ignored)
    assert match_image(*image, (0.5,)).tolist() == [[1]]


def test_the_second_best_object_is_never_taken():
    other = [53, 50, 40, 20, 0.3]
    image = _one([BOX, BOX], [0.9, 0.8], [other, BOX], [False, False])
    assert match_image(*image, (0.5,)).tolist() == [[1, -1]]


def test_nothing_found_and_nothing_there():
    empty = _one(np.zeros((0, 5)), [], [], [])
    got = oriented_ap([empty], 2, (0.5,))
    assert got.num_gts.tolist() == got.num_dets.tolist() == [0, 0]
    assert np.isnan(got.ap07).all()
    missed = _one(np.zeros((0, 5)), [], [BOX], [False])
    got = oriented_ap([empty, missed], 1, (0.5,))
    assert got.recall.item() == got.ap07.item() == got.ap12.item() == 0


def test_rules_equal_the_host_on_long_curves():
    pytest.importorskip('mmdet', reason='part of the extra det')
    from mmdet.evaluation.functional import average_precision

    rng = np.random.default_rng(0)
    for share in (0.1, 0.6, 1.0):
        right = np.cumsum(rng.random(500) < share)
        recalls, precisions = right / (right[-1] + 40), right / np.arange(1, 501)
        ap07, ap12 = average_precisions(recalls, precisions)
        assert ap07 == pytest.approx(average_precision(recalls, precisions, '11points'))
        assert ap12 == pytest.approx(average_precision(recalls, precisions, 'area'))
    # 3 of 10 does not reach the point 0.3, as with the host.
    recalls, precisions = np.array([0.3]), np.array([1.0])
    assert average_precisions(recalls, precisions)[0] == pytest.approx(3 / 11)
    assert average_precision(recalls, precisions, '11points') == pytest.approx(3 / 11)


def test_thresholds_are_reached_exactly():
    found, box = [[10, 10, 4, 4, 0]], [[10, 10, 8, 4, 0]]
    image = _one(np.float32(found), [0.9], np.float32(box), [False])
    assert match_image(*image, (0.5, 0.51)).tolist() == [[1], [-1]]
