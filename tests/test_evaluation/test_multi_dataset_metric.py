"""Figures of several data sets in one go, against counting pixel by pixel."""

import zipfile

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from PIL import Image

from s5_mm.evaluation import MultiDatasetMetric
from s5_mm.registry import EVALUATOR, METRICS

from ..support.distributed import run_ranks

CLASSES = dict(
    vaihingen=('surface', 'building', 'car'),
    potsdam=('surface', 'building', 'tree', 'car'),
    loveda=('road', 'water'),
)
META = dict(
    classes=CLASSES['vaihingen'],
    datasets={name: dict(classes=classes) for name, classes in CLASSES.items()},
)
COUNTS = dict(vaihingen=3, potsdam=5, loveda=1)
HEADLINE = dict(potsdam='mF1')


def _sample(name, number, seed):
    """A sample of its own size, with ignored pixels and two in three right."""
    generator = torch.Generator().manual_seed(seed)
    classes = len(CLASSES[name])
    shape = (1, 4 + seed % 3, 6)
    truth = torch.randint(0, classes, shape, generator=generator)
    guess = torch.randint(0, classes, shape, generator=generator)
    predicted = torch.where(torch.rand(shape, generator=generator) < 0.6, truth, guess)
    truth[:, 0, :3] = 255
    return SegDataSample(
        metainfo=dict(
            dataset_name=name, img_path=f'{name}/{number}.png', ori_shape=shape[1:]
        ),
        pred_sem_seg=PixelData(data=predicted),
        gt_sem_seg=PixelData(data=truth),
    )


def _samples(counts=COUNTS):
    return [
        _sample(name, number, 10 * len(name) + number)
        for name, count in counts.items()
        for number in range(count)
    ]


def _configs(**more):
    return {
        name: dict(type='s5_mm.SegmentationMetric', **more.get(name, {}))
        for name in CLASSES
    }


def _evaluate(samples, batch=2, size=None, **kwargs):
    kwargs = {'metrics': _configs(), 'headline': HEADLINE, **kwargs}
    evaluator = Evaluator(dict(type='s5_mm.MultiDatasetMetric', **kwargs))
    evaluator.dataset_meta = META
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start : start + batch])
    return evaluator.evaluate(len(samples) if size is None else size)


def _counted(samples, name):
    """IoU, F1 of the classes that occur, and OA, in per cent."""
    classes = len(CLASSES[name])
    confusion = np.zeros((classes, classes))
    for sample in samples:
        if sample.dataset_name == name:
            truth = sample.gt_sem_seg.data.flatten().tolist()
            predicted = sample.pred_sem_seg.data.flatten().tolist()
            for t, p in zip(truth, predicted, strict=True):
                if t != 255:
                    confusion[t, p] += 1
    iou, f1 = [], []
    for k in range(classes):
        hit, said, there = confusion[k, k], confusion[:, k].sum(), confusion[k].sum()
        if said + there:
            iou.append(100 * hit / (said + there - hit))
            f1.append(100 * 2 * hit / (said + there))
    oa = 100 * np.trace(confusion) / confusion.sum()
    return dict(mIoU=np.mean(iou), mF1=np.mean(f1), OA=oa)


def _expected(samples):
    figures = {name: _counted(samples, name) for name in CLASSES}
    want = {f'{n}/{key}': v for n, own in figures.items() for key, v in own.items()}
    headlines = [own[HEADLINE.get(name, 'mIoU')] for name, own in figures.items()]
    return {**want, 'average': np.mean(headlines)}


def _close(got, want):
    for name, value in want.items():
        assert got[name] == pytest.approx(value, abs=0.0101), name


@pytest.mark.parametrize('batch', [1, 4, 9])
def test_figures_equal_counting_pixel_by_pixel(batch):
    samples = _samples()
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(3))
    got = _evaluate([samples[i] for i in order], batch)  # batches mix data sets
    _close(got, _expected(samples))
    keys = {f'{n}/{key}' for n in CLASSES for key in ('mIoU', 'mF1', 'mAcc', 'OA')}
    assert set(got) == keys | {'average'}


def test_headline_is_mean_iou_unless_said():
    samples = _samples()
    got = _evaluate(samples, headline=None)
    want = np.mean([_counted(samples, name)['mIoU'] for name in CLASSES])
    assert got['average'] == pytest.approx(want, abs=0.0101)
    assert got['average'] != _evaluate(samples)['average']


def test_it_is_built_where_the_runner_looks_for_it():
    config = dict(type='s5_mm.MultiDatasetMetric', metrics=_configs())
    evaluator = EVALUATOR.build({**config, 'headline': HEADLINE})
    evaluator.dataset_meta = META
    samples = _samples()
    evaluator.process(samples)
    assert evaluator.evaluate(len(samples)) == _evaluate(samples)
    assert isinstance(METRICS.build(config), MultiDatasetMetric)


def test_second_evaluation_starts_from_nothing():
    metric = MultiDatasetMetric(_configs(), HEADLINE)
    metric.dataset_meta = META
    figures = []
    for _ in range(2):
        metric.process({}, [sample.to_dict() for sample in _samples()])
        assert all(not own.results for own in metric.metrics.values())
        figures.append(metric.evaluate(sum(COUNTS.values())))
    assert figures[0] == figures[1]


def test_metric_of_the_host_can_take_part():
    samples = _samples()
    metrics = {**_configs(), 'loveda': IoUMetric(iou_metrics=['mIoU', 'mFscore'])}
    got = _evaluate(samples, metrics=metrics)
    assert got['loveda/mFscore'] == pytest.approx(
        _counted(samples, 'loveda')['mF1'], abs=0.0101
    )
    _close(got, {'average': _expected(samples)['average']})


@pytest.fixture
def logged(monkeypatch):
    """What the metrics log, a text each."""
    said = []
    for module in ('segmentation_metric', 'multi_dataset_metric'):
        monkeypatch.setattr(
            f's5_mm.evaluation.{module}.print_log', lambda text, _: said.append(text)
        )
    return said


def test_one_table_of_all_and_one_of_each(logged):
    samples = _samples()
    metrics = _configs(loveda=dict(background=0))
    got = _evaluate(
        samples, metrics=metrics, headline={**HEADLINE, 'loveda': 'mIoU_fg'}
    )
    *each, table = logged
    assert [text.splitlines()[0] for text in each] == [
        f'{name}, per class, in %:' for name in CLASSES
    ]
    assert table.startswith('all data sets, in %')
    rows = {
        cells[0]: cells[1:]
        for cells in (
            [cell.strip() for cell in line.strip('|').split('|')]
            for line in table.splitlines()
            if line.startswith('|')
        )
    }
    assert list(rows) == ['Data set', *CLASSES, 'average']
    assert rows['Data set'] == ['images', 'mIoU', 'mF1', 'OA', 'mIoU_fg', 'headline']
    values = {key: f'{value:.2f}' for key, value in got.items()}
    assert rows['potsdam'] == [
        '5',
        values['potsdam/mIoU'],
        values['potsdam/mF1'] + '*',
        values['potsdam/OA'],
        '-',
        values['potsdam/mF1'],
    ]
    assert rows['loveda'][-2] == values['loveda/mIoU_fg'] + '*'
    assert rows['average'][-1] == values['average']


def test_data_set_without_truth_is_written_and_left_out(tmp_path, logged):
    samples = _samples()
    only = dict(format_only=True, output_dir=str(tmp_path), archive='sent.zip')
    for sample in samples:
        if sample.dataset_name == 'loveda':
            del sample.gt_sem_seg
    got = _evaluate(samples, metrics=_configs(loveda=only))
    assert not [key for key in got if key.startswith('loveda')]
    headlines = (
        _counted(samples, 'vaihingen')['mIoU'],
        _counted(samples, 'potsdam')['mF1'],
    )
    assert got['average'] == pytest.approx(np.mean(headlines), abs=0.0101)
    with zipfile.ZipFile(tmp_path / 'sent.zip') as archive:
        assert archive.namelist() == ['0.png']
    assert 'no truth' in logged[-1]


def test_without_any_truth_there_is_no_average(tmp_path):
    only = {
        name: dict(format_only=True, output_dir=str(tmp_path / name))
        for name in CLASSES
    }
    samples = _samples()
    assert _evaluate(samples, metrics=_configs(**only)) == {}
    for sample in samples:
        path = tmp_path / sample.img_path
        assert np.array_equal(
            np.array(Image.open(path)), sample.pred_sem_seg.data[0].numpy()
        )


def _rank(rank, world, folder, counts):
    samples = _samples(counts)
    only = dict(format_only=True, output_dir=f'{folder}/masks', archive='sent.zip')
    indices = list(DefaultSampler(samples, shuffle=False))
    return _evaluate(
        [samples[i] for i in indices],
        size=len(samples),
        metrics=_configs(loveda=only),
    )


@pytest.mark.parametrize(
    'counts',
    [
        dict(vaihingen=3, potsdam=5, loveda=1),  # 9: one sample is repeated
        dict(loveda=3, potsdam=2, vaihingen=2),  # 7: a repeated one without results
        dict(potsdam=1, loveda=2, vaihingen=1),
    ],
)
def test_two_processes_equal_one(tmp_path, monkeypatch, counts):
    monkeypatch.chdir(tmp_path)  # the host collects in ./.dist_test
    for world in (1, 2):
        (tmp_path / str(world)).mkdir()
    alone = run_ranks(_rank, 1, tmp_path / '1', str(tmp_path / '1'), counts)[0]
    both = run_ranks(_rank, 2, tmp_path / '2', str(tmp_path / '2'), counts)
    assert both == [alone, alone]
    want = _expected([*_samples(counts)])
    _close(alone, {key: want[key] for key in want if key.startswith(('v', 'p'))})
    archives = [tmp_path / w / 'masks' / 'sent.zip' for w in ('1', '2')]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[1]) as archive:
        assert archive.namelist() == [f'{i}.png' for i in range(counts['loveda'])]


def test_unknown_data_set_of_a_sample_names_the_image():
    samples = _samples(dict(potsdam=1))
    samples[0].set_metainfo(dict(dataset_name='postdam'))
    with pytest.raises(
        ValueError,
        match=r"potsdam/0\.png: dataset_name='postdam' found, allowed are \['vaih",
    ):
        _evaluate(samples)
    samples[0].set_metainfo(dict(dataset_name=None))
    with pytest.raises(ValueError, match='dataset_name=None found'):
        _evaluate(samples)


@pytest.mark.parametrize(
    ('datasets', 'said'),
    [
        (
            ('vaihingen', 'potsdam'),
            r"without metric \[\], without data set \['loveda'\]",
        ),
        (('oem', *CLASSES), r"without metric \['oem'\], without data set \[\]"),
        ((), r'the loader has the data sets \[\], metrics are given for'),
    ],
)
def test_loader_and_metrics_must_agree(datasets, said):
    metric = MultiDatasetMetric(_configs())
    meta = {name: dict(classes=('a', 'b')) for name in datasets}
    with pytest.raises(ValueError, match=said):
        metric.dataset_meta = dict(classes=('a', 'b'), datasets=meta)
    with pytest.raises(ValueError, match=r's5_mm\.MultiSourceDataset'):
        metric.dataset_meta = dict(classes=('a', 'b'))


def test_data_set_that_was_not_evaluated_is_an_error():
    with pytest.raises(ValueError, match=r"no sample of the data set 'loveda' .*: 5"):
        _evaluate(_samples(dict(vaihingen=3, potsdam=5)))


def test_headline_must_be_a_figure():
    with pytest.raises(
        ValueError, match=r"'potsdam' is 'F1', its figures are \['mIoU'"
    ):
        _evaluate(_samples(), headline=dict(potsdam='F1'))


def test_headline_of_an_unknown_data_set_is_refused():
    with pytest.raises(
        ValueError, match=r"data sets \['oem'\] found, allowed are \['v"
    ):
        MultiDatasetMetric(_configs(), dict(oem='mF1'))


def test_no_metrics_are_refused():
    with pytest.raises(ValueError, match='expected at least one'):
        METRICS.build(dict(type='s5_mm.MultiDatasetMetric', metrics={}))


def test_shared_folder_is_refused(tmp_path):
    same = dict(output_dir=str(tmp_path))
    with pytest.raises(
        ValueError, match="data sets 'vaihingen' and 'loveda' both have"
    ):
        MultiDatasetMetric(_configs(vaihingen=same, loveda=same))
