"""What s5_mm.OrientedMetric refuses."""

import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')
from s5_mm.evaluation.oriented_metric import OrientedMetric

from .oriented_samples import figures_of, pairs_of, sample_of, samples_of


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (
            lambda s: s.pred_instances.bboxes[0].mul_(torch.tensor([1, 1, 1, 1, 57.3])),
            r'pred_instances: angle .*radians are expected, not degrees',
        ),
        (
            lambda s: s.gt_instances.bboxes.tensor[:, 4].fill_(90),
            'gt_instances: angle 90, allowed are -2 pi..2 pi',
        ),
        (
            lambda s: s.ignored_instances.bboxes.tensor[:, 4].fill_(-45),
            'ignored_instances: angle -45',
        ),
        (
            lambda s: s.pred_instances.bboxes[1, 2:3].fill_(torch.nan),
            'pred_instances: boxes with nan or inf',
        ),
        (
            lambda s: setattr(
                s.pred_instances, 'bboxes', s.pred_instances.bboxes[:, :4]
            ),
            r'pred_instances: boxes of shape \(\d+, 4\), expected \(n, 5\)',
        ),
        (
            lambda s: s.pred_instances.labels[0:1].fill_(3),
            r'pred_instances: labels 0\.\.3, allowed are 0\.\.2',
        ),
        (
            lambda s: s.gt_instances.labels[0:1].fill_(-1),
            r'gt_instances: labels -1\.\.1, allowed are 0\.\.2',
        ),
    ],
)
def test_samples_that_cannot_be_compared_are_named(change, said):
    found, objects = pairs_of(0, 1)[0]
    found.bboxes[0, 4] = 1.0
    objects.ignored[:2] = True, False
    sample = sample_of(found, objects, img_path='images/P1.png')
    change(sample)
    with pytest.raises(ValueError, match=rf'images/P1\.png: {said}'):
        figures_of([sample])


@pytest.mark.parametrize('meta', [{}, dict(classes=())])
def test_classes_must_be_known(meta):
    with pytest.raises(
        ValueError, match="expected the names of the classes in its 'cl"
    ):
        figures_of(samples_of(pairs_of(0, 1)), meta=meta)
    metric = OrientedMetric()
    with pytest.raises(ValueError, match='OrientedMetric: dataset_meta=None'):
        metric.process({}, [samples_of(pairs_of(0, 1))[0].to_dict()])


def test_without_any_object_there_is_an_error():
    found, objects = pairs_of(0, 1)[0]
    objects.ignored[:] = True
    sample = sample_of(found, objects, img_path='0.png')
    with pytest.raises(
        ValueError, match='none of the 1 images has an object that is n'
    ):
        figures_of([sample])


def test_names_must_differ_where_files_are_written(tmp_path):
    pairs = pairs_of(0, 2)
    samples = [sample_of(*pair, img_path='a/0.png') for pair in pairs]
    figures_of(samples)  # a stand-in for an image that cannot be read is no error
    with pytest.raises(
        ValueError, match=r"1 images were predicted more than once, \['a"
    ):
        figures_of(samples, output_dir=str(tmp_path))
    samples[1].set_metainfo(dict(img_path='b/0.tif'))
    with pytest.raises(
        ValueError, match=r'a/0\.png and b/0\.tif: both images are call'
    ):
        figures_of(samples, output_dir=str(tmp_path))
    assert not (tmp_path / 'Task1.zip').exists()


def test_neither_figures_nor_files_is_an_error(tmp_path):
    for kwargs in (dict(format_only=True), dict(merge=dict(iou_thr=0.1))):
        with pytest.raises(ValueError, match='expected an output_dir for the files'):
            OrientedMetric(**kwargs)
    with pytest.raises(
        TypeError, match=r"merge has no arguments \['iou'\]; allowed are"
    ):
        OrientedMetric(merge=dict(iou=0.1), output_dir=str(tmp_path))
    with pytest.raises(FileNotFoundError, match='there is no folder ann_dir='):
        OrientedMetric(merge=dict(ann_dir=str(tmp_path / 'none')))
