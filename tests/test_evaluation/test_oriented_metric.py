"""The metric of oriented detection, from samples to figures, table and files."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

pytest.importorskip('mmrotate', reason='part of the extra det')

from mmdet.structures import DetDataSample
from mmengine.dataset import DefaultSampler
from mmrotate.structures.bbox import RotatedBoxes, qbox2rbox

from s5_mm.datasets.oriented import read_dota_text
from s5_mm.evaluation.oriented_ap import Detections, Objects
from s5_mm.evaluation.oriented_metric import OrientedMetric

from ..support.distributed import run_ranks
from .oriented import corners, random_image, slow_ap

CLASSES = ('plane', 'ship', 'never')
DATA = os.environ.get('S5_MM_DATA')
FIGURES = {
    'AP07': (0.5, 2),
    'AP12': (0.5, 3),
    'AP07_75': (0.75, 2),
    'AP12_75': (0.75, 3),
}


def sample_of(found, objects, **meta):
    """The sample that a detector returns of an image."""
    sample = DetDataSample(metainfo=meta)
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(found.bboxes),
        scores=torch.from_numpy(found.scores),
        labels=torch.from_numpy(found.labels),
    )
    bboxes, labels = torch.from_numpy(objects.bboxes), torch.from_numpy(objects.labels)
    ignored = torch.from_numpy(objects.ignored)
    sample.gt_instances = InstanceData(
        bboxes=RotatedBoxes(bboxes[~ignored]), labels=labels[~ignored]
    )
    sample.ignored_instances = InstanceData(
        bboxes=RotatedBoxes(bboxes[ignored]), labels=labels[ignored]
    )
    return sample


def pairs_of(seed, count, num_classes=2):
    """Detections and objects of some images; in some there are no objects."""
    rng = np.random.default_rng(seed)
    gts = [8, 0, 5, 3, 6, 1, 2]
    return [
        random_image(rng, num_classes, num_gts=gts[i % len(gts)]) for i in range(count)
    ]


def expected(pairs, num_classes):
    """Figures by counting in double precision."""
    figures = {}
    for figure, (iou_thr, place) in FIGURES.items():
        own = [slow_ap(pairs, k, iou_thr)[place] for k in range(num_classes)]
        own = [value for value in own if value is not None]
        figures[figure] = 100 * np.mean(own)
    return figures


def _samples(pairs):
    return [
        sample_of(*pair, img_path=f'images/{i}.png') for i, pair in enumerate(pairs)
    ]


def _evaluate(samples, classes=CLASSES, size=None, meta=None, **kwargs):
    evaluator = Evaluator(dict(type='s5_mm.OrientedMetric', **kwargs))
    evaluator.dataset_meta = dict(classes=classes) if meta is None else meta
    for start in range(0, len(samples), 2):
        evaluator.process(samples[start : start + 2])
    return evaluator.evaluate(len(samples) if size is None else size)


@pytest.fixture
def logged(monkeypatch):
    """What the metric logs, a text each."""
    said = []
    monkeypatch.setattr(
        's5_mm.evaluation.oriented_metric.print_log',
        lambda text, *_: said.append(text),
    )
    return said


def _rows(table):
    return {
        cells[0]: cells[1:]
        for cells in (
            [cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines()
            if line.startswith('|')
        )
    }


def test_figures_and_the_one_table(logged):
    pairs = pairs_of(0, 7)
    got = _evaluate(
        _samples(pairs), per_class=True, meta=dict(classes=CLASSES, dataset_name='x')
    )
    want = expected(pairs, 3)
    for figure, value in want.items():
        assert got[figure] == pytest.approx(value, abs=0.0051)
    (table,) = logged
    assert table.startswith('x, per class, in %:\n')
    rows = _rows(table)
    assert list(rows) == ['Class', *CLASSES, 'mean']
    assert rows['Class'] == [
        'gts',
        'dets',
        'recall',
        'AP07@50',
        'AP12@50',
        'AP07@75',
        'AP12@75',
    ]
    assert rows['never'] == ['0', '0', '-', '-', '-', '-', '-']
    for k, name in enumerate(CLASSES[:2]):
        count, recall, *_ = slow_ap(pairs, k, 0.5)
        dets = sum((found.labels == k).sum() for found, _ in pairs)
        assert rows[name][:3] == [str(count), str(dets), f'{100 * recall:.2f}']
        own = [got[f'{figure}/{name}'] for figure in FIGURES]
        assert rows[name][3:] == [f'{value:.2f}' for value in own]
    assert rows['mean'][3:] == [f'{got[figure]:.2f}' for figure in FIGURES]
    assert not [figure for figure in got if 'never' in figure]
    assert set(_evaluate(_samples(pairs))) == set(FIGURES)


def test_thresholds_are_named_in_the_figures():
    got = _evaluate(_samples(pairs_of(0, 3)), iou_thrs=(0.5, 0.35))
    assert set(got) == {'AP07', 'AP12', 'AP07_35', 'AP12_35'}
    assert got['AP12_35'] >= got['AP12']


@pytest.mark.parametrize('iou_thrs', [(0.75,), (0.5, 1.0), (0.0, 0.5), ()])
def test_thresholds_out_of_range_are_refused(iou_thrs):
    with pytest.raises(ValueError, match='allowed are numbers between 0 and 1, one of'):
        OrientedMetric(iou_thrs=iou_thrs)


def test_boxes_without_class_type_and_without_ignored_ones_will_do():
    found, objects = pairs_of(0, 1)[0]
    objects.ignored[:] = False
    sample = sample_of(found, objects, img_path='0.png')
    want = _evaluate([sample])
    sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
    del sample.ignored_instances
    assert _evaluate([sample]) == want


def _rank(rank, world, folder, count):
    samples = _samples(pairs_of(3, count))
    indices = list(DefaultSampler(samples, shuffle=False))
    return _evaluate(
        [samples[i] for i in indices],
        size=count,
        per_class=True,
        output_dir=f'{folder}/{world}',
    )


def test_two_processes_equal_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the host collects in ./.dist_test
    results = {}
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
        results[world] = run_ranks(
            _rank, world, tmp_path / str(world), str(tmp_path), 5
        )
    assert results[2] == [results[1][0]] * 2
    for figure, value in expected(pairs_of(3, 5), 3).items():
        assert results[1][0][figure] == pytest.approx(value, abs=0.0051)
    archives = [(tmp_path / world / 'Task1.zip').read_bytes() for world in '12']
    assert archives[0] == archives[1]


def test_files_are_written_beside_the_figures(tmp_path):
    samples = _samples(pairs_of(0, 3))
    got = _evaluate(samples, output_dir=str(tmp_path), keep_results=True)
    assert got == _evaluate(samples)
    lines = [
        line.split()
        for name in CLASSES
        for line in (tmp_path / f'Task1_{name}.txt').read_text().splitlines()
    ]
    assert len(lines) == sum(len(sample.pred_instances.labels) for sample in samples)
    assert {line[0] for line in lines} == {'0', '1', '2'}


def test_without_truth_files_alone_are_written(tmp_path):
    samples = _samples(pairs_of(0, 3))
    for sample in samples:
        sample.gt_instances = InstanceData()  # as packed without annotations
    folder = str(tmp_path)
    assert _evaluate(samples, format_only=True, output_dir=folder) == {}
    with zipfile.ZipFile(tmp_path / 'Task1.zip') as archive:
        assert archive.namelist() == [f'Task1_{name}.txt' for name in sorted(CLASSES)]
    with pytest.raises(
        ValueError, match=r'images/0\.png has no gt_instances; for imag'
    ):
        _evaluate(samples)
    del samples[0].gt_instances
    with pytest.raises(ValueError, match=r'images/0\.png has no gt_instances'):
        _evaluate(samples)


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
        _evaluate([sample])


@pytest.mark.parametrize('meta', [{}, dict(classes=())])
def test_classes_must_be_known(meta):
    with pytest.raises(
        ValueError, match="expected the names of the classes in its 'cl"
    ):
        _evaluate(_samples(pairs_of(0, 1)), meta=meta)
    metric = OrientedMetric()
    with pytest.raises(ValueError, match='OrientedMetric: dataset_meta=None'):
        metric.process({}, [_samples(pairs_of(0, 1))[0].to_dict()])


def test_without_any_object_there_is_an_error():
    found, objects = pairs_of(0, 1)[0]
    objects.ignored[:] = True
    sample = sample_of(found, objects, img_path='0.png')
    with pytest.raises(
        ValueError, match='none of the 1 images has an object that is n'
    ):
        _evaluate([sample])


def test_names_must_differ_where_files_are_written(tmp_path):
    pairs = pairs_of(0, 2)
    samples = [sample_of(*pair, img_path='a/0.png') for pair in pairs]
    _evaluate(samples)  # a stand-in for an image that cannot be read is no error
    with pytest.raises(
        ValueError, match=r"1 images were predicted more than once, \['a"
    ):
        _evaluate(samples, output_dir=str(tmp_path))
    samples[1].set_metainfo(dict(img_path='b/0.tif'))
    with pytest.raises(
        ValueError, match=r'a/0\.png and b/0\.tif: both images are call'
    ):
        _evaluate(samples, output_dir=str(tmp_path))
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


# Whole images of 300x300 px, cut at 0 and 100 into patches of 200 px.
PLACES = [(x, y) for x in (0, 100) for y in (0, 100)]


def _cut(pairs, folder):
    """Patches as a detector sees them, and the texts of the whole images."""
    samples = []
    for i, (found, objects) in enumerate(pairs):
        lines = ['gsd:0.5']
        for box, label, ignored in zip(
            objects.bboxes, objects.labels, objects.ignored, strict=True
        ):
            points = ' '.join(repr(value) for point in corners(box) for value in point)
            lines.append(f'{points} {CLASSES[label]} {int(ignored)}')
        (folder / f'P{i}.txt').write_text('\n'.join(lines))
        for x, y in PLACES:
            inside = (found.bboxes[:, :2] >= (x, y)).all(1)
            inside &= (found.bboxes[:, :2] < (x + 200, y + 200)).all(1)
            sample = sample_of(found, objects, img_path=f'p/P{i}__200__{x}___{y}.png')
            shift = torch.tensor([x, y, 0, 0, 0])
            pred = sample.pred_instances[torch.from_numpy(inside)]
            pred.bboxes = pred.bboxes - shift
            sample.pred_instances = pred
            samples.append(sample)
    return samples


def test_patches_are_compared_with_the_objects_of_whole_images(tmp_path, logged):
    rng = np.random.default_rng(5)
    pairs = [random_image(rng, 2, num_gts=10, side=300) for _ in range(3)]
    for found, _ in pairs:
        found.bboxes[:, :2] = found.bboxes[:, :2].clip(0, 299)
    samples = _cut(pairs, tmp_path)
    merge = dict(iou_thr=0.999, ann_dir=str(tmp_path))  # what was found twice alone
    got = _evaluate(samples, merge=merge)
    # Boxes that the detector had repeated go too.
    unique = []
    for found, objects in pairs:
        order = np.argsort(-found.scores)
        rows = np.column_stack((found.bboxes, found.labels))[order]
        first = order[np.sort(np.unique(rows, axis=0, return_index=True)[1])]
        kept = Detections(found.bboxes[first], found.scores[first], found.labels[first])
        unique.append((kept, objects))
    for figure, value in expected(unique, 3).items():
        assert got[figure] == pytest.approx(value, abs=0.0051)
    assert got != _evaluate(samples)
    assert got['AP12'] != _evaluate(samples, merge=dict(merge, iou_thr=0.1))['AP12']

    # A patch that stands in for one that cannot be read is no error.
    assert _evaluate([*samples, samples[0]], merge=merge) == got

    (tmp_path / 'P7.txt').write_text('')
    logged.clear()
    assert _evaluate(samples, merge=merge) == got
    assert "1 images have no patch and are left out of the figures, ['P7']" in logged[0]
    (tmp_path / 'P1.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'has no P1\.txt for the image P1'):
        _evaluate(samples, merge=merge)


def test_without_whole_images_merging_makes_the_archive_alone(tmp_path):
    pairs = pairs_of(0, 2)
    samples = _cut(pairs, tmp_path)
    for sample in samples:
        del sample.gt_instances
    folder = tmp_path / 'sent'
    assert _evaluate(samples, merge=dict(iou_thr=0.5), output_dir=str(folder)) == {}
    with zipfile.ZipFile(folder / 'Task1.zip') as archive:
        lines = archive.read('Task1_ship.txt').decode().splitlines()
    assert lines
    assert {line.split()[0] for line in lines} <= {'P0', 'P1'}
    samples[0].set_metainfo(dict(img_path='p/P0.png'))
    with pytest.raises(ValueError, match='P0: not the name of a patch'):
        _evaluate(samples, merge={}, output_dir=str(folder))


@pytest.mark.skipif(not DATA, reason='S5_MM_DATA is not set')
def test_real_annotations_are_found_again(tmp_path):
    folder = Path(DATA) / 'dota8'
    files = sorted(folder.glob('*/annfiles/*.txt'))
    classes = sorted(
        {line.split()[8] for file in files for line in file.read_text().splitlines()}
    )
    samples, whole = [], {}
    for file in files:
        points, labels, difficulty = read_dota_text(file, classes)
        bboxes = qbox2rbox(torch.from_numpy(points.astype(np.float32))).numpy()
        found = Detections(
            bboxes, np.linspace(0.9, 0.5, len(labels), dtype=np.float32), labels
        )
        objects = Objects(bboxes, labels, difficulty > 0)
        samples.append(sample_of(found, objects, img_path=f'{file.stem}.jpg'))
        image, _, x, y = file.stem.replace('___', '__').split('__')
        moved = points + np.tile((int(x), int(y)), 4)
        whole[image] = '\n'.join(
            f'{" ".join(map(str, row))} {classes[k]} {d}'
            for row, k, d in zip(moved, labels, difficulty, strict=True)
        )
    for image, text in whole.items():
        (tmp_path / f'{image}.txt').write_text(text)
    perfect = dict.fromkeys(FIGURES, 100.0)
    assert len(samples) == 8
    assert _evaluate(samples, classes) == perfect
    # No two objects overlap as much.
    merge = dict(iou_thr=0.7, ann_dir=str(tmp_path))
    assert _evaluate(samples, classes, merge=merge) == perfect
