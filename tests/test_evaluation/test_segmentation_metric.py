"""The figures against per-pixel counting."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from s5_mm.evaluation import SegmentationMetric

CLASSES = ('background', 'ship', 'plane', 'never')


def _samples(count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for _ in range(count):
        truth = torch.randint(0, 3, (1, 9, 7), generator=generator)
        predicted = torch.where(
            torch.rand(truth.shape, generator=generator) < 0.7,
            truth,
            torch.randint(0, 3, truth.shape, generator=generator),
        )
        truth[:, :2] = 255
        sample = SegDataSample(
            pred_sem_seg=PixelData(data=predicted), gt_sem_seg=PixelData(data=truth)
        )
        samples.append(sample)
    return samples


def _evaluate(samples, **kwargs):
    metric = SegmentationMetric(**kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    for sample in samples:
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(samples))


def _counted(samples):
    confusion = np.zeros((4, 4))
    for sample in samples:
        pairs = zip(
            sample.gt_sem_seg.data.flatten().tolist(),
            sample.pred_sem_seg.data.flatten().tolist(),
            strict=True,
        )
        for truth, predicted in pairs:
            if truth != 255:
                confusion[truth, predicted] += 1
    return confusion


def test_figures_equal_counting_pixel_by_pixel():
    samples = _samples()
    confusion = _counted(samples)
    hit, truth, predicted = (
        np.diag(confusion),
        confusion.sum(axis=1),
        confusion.sum(axis=0),
    )
    # Class 3 never occurs and must not lower any mean.
    iou = 100 * hit[:3] / (truth + predicted - hit)[:3]
    precision, recall = hit[:3] / predicted[:3], hit[:3] / truth[:3]
    f1 = 100 * 2 * precision * recall / (precision + recall)
    got = _evaluate(samples, background=0, per_class=True)
    want = {
        'mIoU': iou.mean(),
        'mIoU_fg': iou[1:].mean(),
        'mF1': f1.mean(),
        'mF1_fg': f1[1:].mean(),
        'mAcc': 100 * recall.mean(),
        'OA': 100 * hit.sum() / truth.sum(),
        'OA_fg': 100 * hit[1:].sum() / truth[1:].sum(),
        'IoU/ship': iou[1],
        'F1/plane': f1[2],
    }
    for name, value in want.items():
        assert got[name] == pytest.approx(value, abs=0.00501), name
    assert np.isnan(got['IoU/never'])


def test_without_background_there_are_no_foreground_figures():
    got = _evaluate(_samples())
    assert set(got) == {'mIoU', 'mF1', 'mAcc', 'OA'}


def test_figures_do_not_depend_on_the_split_into_images():
    samples = _samples(4)
    assert _evaluate(samples) == _evaluate(samples[::-1])
    assert _evaluate(samples) != _evaluate(samples[:2])


def test_background_outside_the_classes_is_refused():
    with pytest.raises(ValueError, match='background is class 4, allowed are 0 to 3'):
        _evaluate(_samples(), background=4)


def test_masks_without_labels_are_refused():
    samples = _samples()
    for sample in samples:
        sample.gt_sem_seg.data.fill_(255)
    with pytest.raises(ValueError, match='none of the 3 images has a labelled pixel'):
        _evaluate(samples)


def test_format_only_writes_predictions(tmp_path):
    samples = _samples()
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'scene_{i}.tif'))
    got = _evaluate(samples, format_only=True, output_dir=str(tmp_path))
    assert got == {}
    assert len(list(tmp_path.glob('scene_*.png'))) == 3
