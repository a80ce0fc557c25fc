"""The figures against per-pixel counting."""

import zipfile

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from PIL import Image

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


def test_table_names_the_data_set_where_it_is_known(monkeypatch):
    said = []
    module = 's5_mm.evaluation.segmentation_metric'
    monkeypatch.setattr(f'{module}.print_log', lambda text, logger: said.append(text))
    metric = SegmentationMetric()
    for more in (dict(), dict(dataset_name='Potsdam')):
        metric.dataset_meta = dict(classes=CLASSES, **more)
        metric.process({}, [sample.to_dict() for sample in _samples()])
        metric.evaluate(3)
    headings = [text.splitlines()[0] for text in said]
    assert headings == ['per class, in %:', 'Potsdam, per class, in %:']


def _with_paths(samples, **meta):
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'/data/scene_{i}.tif', **meta))
    return samples


def test_format_only_writes_predictions(tmp_path):
    samples = _with_paths(_samples(), ori_shape=(9, 7), reduce_zero_label=True)
    for sample in samples:
        del sample.gt_sem_seg
    got = _evaluate(
        samples, format_only=True, output_dir=str(tmp_path), archive='sent.zip'
    )
    assert got == {}
    names = [f'scene_{i}.png' for i in range(3)]
    assert sorted(path.name for path in tmp_path.glob('*.png')) == names
    with zipfile.ZipFile(tmp_path / 'sent.zip') as archive:
        assert archive.namelist() == names
    for name, sample in zip(names, samples, strict=True):
        # As the model says them, also where the stored masks begin with 1.
        want = sample.pred_sem_seg.data[0].numpy()
        assert np.array_equal(np.array(Image.open(tmp_path / name)), want)


def test_figures_and_masks_in_one_go(tmp_path):
    samples = _with_paths(_samples())
    assert _evaluate(samples, output_dir=str(tmp_path), id_offset=1) == _evaluate(
        samples
    )
    for i, sample in enumerate(samples):
        want = sample.pred_sem_seg.data[0].numpy() + 1
        assert np.array_equal(np.array(Image.open(tmp_path / f'scene_{i}.png')), want)


def test_a_mask_has_the_size_of_its_image(tmp_path):
    samples = _with_paths(_samples(), ori_shape=(18, 14, 3))
    with pytest.raises(ValueError, match=r'scene_0\.tif: predicted mask of 9x7 px'):
        _evaluate(samples, output_dir=str(tmp_path))


def test_two_images_of_one_name_are_refused(tmp_path):
    samples = _with_paths(_samples(2))
    samples[1].set_metainfo(dict(img_path='/other/scene_0.png'))
    with pytest.raises(ValueError, match=r'/data/scene_0\.tif and /other/scene_0\.png'):
        _evaluate(samples, output_dir=str(tmp_path))


def test_a_sample_without_truth_is_refused():
    samples = _with_paths(_samples(1))
    del samples[0].gt_sem_seg
    with pytest.raises(ValueError, match=r'scene_0\.tif has no gt_sem_seg'):
        _evaluate(samples)


def test_truth_of_another_size_is_refused():
    samples = _with_paths(_samples(1))
    samples[0].pred_sem_seg = PixelData(data=torch.zeros(1, 4, 4, dtype=torch.long))
    with pytest.raises(
        ValueError, match=r'mask of \(4, 4\) px, the truth has \(9, 7\)'
    ):
        _evaluate(samples)


def test_a_map_of_one_row_is_counted():
    (sample,) = _samples(1)
    predicted = sample.pred_sem_seg.data[:, 4:5]
    truth = sample.gt_sem_seg.data[:, 4:5]
    row = SegDataSample(
        pred_sem_seg=PixelData(data=predicted), gt_sem_seg=PixelData(data=truth)
    )
    right = 100 * float((predicted == truth).double().mean())
    assert 0 < right < 100
    assert _evaluate([row])['OA'] == pytest.approx(right, abs=0.00501)


@pytest.mark.parametrize('wrong', [dict(archive='a.zip'), dict(format_only=True)])
def test_masks_need_a_folder(wrong):
    with pytest.raises(ValueError, match='expected an output_dir'):
        SegmentationMetric(**wrong)


def test_misspelt_argument_is_refused():
    with pytest.raises(
        TypeError, match=r"no arguments \['archiv'\]; allowed are .*arch"
    ):
        SegmentationMetric(archiv='a.zip')


def test_classes_of_more_than_2_to_the_24_pixels_are_counted():
    """36 million pixels of one class, 21 of them right: float32 stops at 16.8."""
    truth = torch.zeros(1, 6000, 6000, dtype=torch.uint8)
    predicted = truth.clone()
    predicted[:, 3500:] = 1
    sample = SegDataSample(
        pred_sem_seg=PixelData(data=predicted), gt_sem_seg=PixelData(data=truth)
    )
    got = _evaluate([sample], per_class=True)
    share = round(100 * 3500 / 6000, 2)
    assert got['OA'] == got['IoU/background'] == got['Acc/background'] == share


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64, torch.float32])
def test_areas_equal_mmsegs_whatever_the_type(dtype):
    draw = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 5, (40, 50), generator=draw)
    truth[:4] = 255
    predicted = torch.randint(0, 7, (40, 50), generator=draw).to(dtype)
    if dtype != torch.uint8:
        predicted[30:, :5] = -1
    want = IoUMetric.intersect_and_union(predicted, truth.to(dtype), 5, 255)
    got = SegmentationMetric.intersect_and_union(predicted, truth, 5, 255)
    for areas, host in zip(got, want, strict=True):
        assert areas.dtype == torch.int64
        assert areas.tolist() == host.long().tolist()
