"""The metric of oriented detection, from samples to figures, table and files."""

import zipfile

import pytest
from mmengine.structures import InstanceData

pytest.importorskip('mmrotate', reason='part of the extra det')
from mmengine.dataset import DefaultSampler

from s5_mm.evaluation.oriented_metric import OrientedMetric

from ..support.distributed import run_ranks
from .oriented import slow_ap
from .oriented_samples import (
    CLASSES,
    FIGURES,
    expected,
    figures_of,
    pairs_of,
    sample_of,
    samples_of,
)


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
    got = figures_of(
        samples_of(pairs), per_class=True, meta=dict(classes=CLASSES, dataset_name='x')
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
    assert set(figures_of(samples_of(pairs))) == set(FIGURES)


def test_thresholds_are_named_in_the_figures():
    got = figures_of(samples_of(pairs_of(0, 3)), iou_thrs=(0.5, 0.35))
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
    want = figures_of([sample])
    sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
    del sample.ignored_instances
    assert figures_of([sample]) == want


def _rank(rank, world, folder, count):
    samples = samples_of(pairs_of(3, count))
    indices = list(DefaultSampler(samples, shuffle=False))
    return figures_of(
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
    samples = samples_of(pairs_of(0, 3))
    got = figures_of(samples, output_dir=str(tmp_path), keep_results=True)
    assert got == figures_of(samples)
    lines = [
        line.split()
        for name in CLASSES
        for line in (tmp_path / f'Task1_{name}.txt').read_text().splitlines()
    ]
    assert len(lines) == sum(len(sample.pred_instances.labels) for sample in samples)
    assert {line[0] for line in lines} == {'0', '1', '2'}


def test_without_truth_files_alone_are_written(tmp_path):
    samples = samples_of(pairs_of(0, 3))
    for sample in samples:
        sample.gt_instances = InstanceData()  # as packed without annotations
    folder = str(tmp_path)
    assert figures_of(samples, format_only=True, output_dir=folder) == {}
    with zipfile.ZipFile(tmp_path / 'Task1.zip') as archive:
        assert archive.namelist() == [f'Task1_{name}.txt' for name in sorted(CLASSES)]
    with pytest.raises(
        ValueError, match=r'images/0\.png has no gt_instances; for imag'
    ):
        figures_of(samples)
    del samples[0].gt_instances
    with pytest.raises(ValueError, match=r'images/0\.png has no gt_instances'):
        figures_of(samples)
