"""Oriented detection on several data sets in one evaluation."""

import zipfile

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

pytest.importorskip('mmrotate', reason='part of the extra det')

from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric

from s5_mm.evaluation import MultiDatasetMetric

from ..support.distributed import run_ranks
from .oriented_samples import FIGURES, expected, pairs_of, sample_of

CLASSES = dict(harbours=('ship', 'crane', 'never'), towns=('car', 'court'))
META = dict(
    classes=CLASSES['harbours'],
    datasets={name: dict(classes=classes) for name, classes in CLASSES.items()},
)
COUNTS = dict(harbours=5, towns=4)
METRICS = {name: dict(type='s5_mm.OrientedMetric') for name in CLASSES}


def _pairs(counts=COUNTS):
    return {name: pairs_of(len(name), count) for name, count in counts.items()}


def _samples(counts=COUNTS):
    """Samples of both, mixed."""
    samples = [
        sample_of(*pair, img_path=f'{name}/{i}.png', dataset_name=name)
        for name, pairs in _pairs(counts).items()
        for i, pair in enumerate(pairs)
    ]
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(1))
    return [samples[i] for i in order]


def _evaluate(samples, batch=3, size=None, **kwargs):
    kwargs = {'metrics': METRICS, **kwargs}
    evaluator = Evaluator(dict(type='s5_mm.MultiDatasetMetric', **kwargs))
    evaluator.dataset_meta = META
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start : start + batch])
    return evaluator.evaluate(len(samples) if size is None else size)


def _expected(counts=COUNTS, headline='AP07'):
    own = {
        name: expected(pairs, len(CLASSES[name]))
        for name, pairs in _pairs(counts).items()
    }
    want = {f'{name}/{key}': v for name, of in own.items() for key, v in of.items()}
    return {**want, 'average': np.mean([of[headline] for of in own.values()])}


@pytest.mark.parametrize('batch', [1, 4, 9])
def test_figures_of_each_and_the_average(batch):
    got = _evaluate(_samples(), batch)
    want = _expected()
    assert set(got) == set(want)
    for figure, value in want.items():
        assert got[figure] == pytest.approx(value, abs=0.0101), figure
    assert got['harbours/AP07'] != got['towns/AP07']


def test_another_headline():
    got = _evaluate(_samples(), headline=dict.fromkeys(CLASSES, 'AP12'))
    assert got['average'] == pytest.approx(
        _expected(headline='AP12')['average'], abs=0.0101
    )
    assert got['average'] != _evaluate(_samples())['average']


class _OtherMetric(BaseMetric):
    """A metric that does not say what is to be shown."""

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return dict(mIoU=float(sum(results)), more=1.0)


@pytest.fixture
def rows(monkeypatch):
    """Rows of the table of all data sets, once it is there."""
    found = {}

    def keep(text, *_):
        lines = [line.strip('|').split('|') for line in text.splitlines()]
        cells = [[cell.strip() for cell in line] for line in lines if len(line) > 1]
        found.update({line[0]: line[1:] for line in cells})

    monkeypatch.setattr('s5_mm.evaluation.multi_dataset_metric.print_log', keep)
    return found


def test_metrics_say_what_the_table_shows(rows):
    got = _evaluate(_samples())
    assert rows['Data set'] == ['images', 'AP07', 'AP12', 'AP12_75', 'headline']
    values = {key: f'{value:.2f}' for key, value in got.items()}
    for name in CLASSES:
        assert rows[name] == [
            str(COUNTS[name]),
            values[f'{name}/AP07'] + '*',
            values[f'{name}/AP12'],
            values[f'{name}/AP12_75'],
            values[f'{name}/AP07'],
        ]
    assert rows['average'][-1] == values['average']


def test_metrics_of_others_have_their_headline_alone_in_the_table(rows):
    got = _evaluate(_samples(), metrics={**METRICS, 'towns': _OtherMetric()})
    assert rows['Data set'] == ['images', 'AP07', 'AP12', 'AP12_75', 'mIoU', 'headline']
    assert rows['towns'] == ['4', '-', '-', '-', '4.00*', '4.00']
    assert rows['harbours'][4] == '-'
    assert got['average'] == pytest.approx((got['harbours/AP07'] + 4) / 2, abs=0.0051)
    with pytest.raises(
        ValueError, match=r"'towns' is 'AP07', its figures are \['mIoU'"
    ):
        _evaluate(
            _samples(),
            metrics={**METRICS, 'towns': _OtherMetric()},
            headline=dict(towns='AP07'),
        )


def _rank(rank, world, folder, counts):
    samples = _samples(counts)
    indices = list(DefaultSampler(samples, shuffle=False))
    own = {
        name: dict(metric, output_dir=f'{folder}/{name}', keep_results=True)
        for name, metric in METRICS.items()
    }
    own['towns']['format_only'] = True
    return _evaluate([samples[i] for i in indices], size=len(samples), metrics=own)


@pytest.mark.parametrize('counts', [COUNTS, dict(harbours=2, towns=5)])
def test_two_processes_equal_one(tmp_path, monkeypatch, counts):
    monkeypatch.chdir(tmp_path)  # the host collects in ./.dist_test
    results = {}
    for world in (1, 2):
        folder = tmp_path / str(world)
        folder.mkdir()
        results[world] = run_ranks(_rank, world, folder, str(folder), counts)
    assert results[2] == [results[1][0]] * 2
    want = _expected(counts)
    assert set(results[1][0]) == {*(f'harbours/{key}' for key in FIGURES), 'average'}
    for figure, value in results[1][0].items():
        if figure != 'average':
            assert value == pytest.approx(want[figure], abs=0.0101)
    assert results[1][0]['average'] == results[1][0]['harbours/AP07']
    for name in CLASSES:
        paths = [tmp_path / world / name / 'Task1.zip' for world in '12']
        assert paths[0].read_bytes() == paths[1].read_bytes()
        with zipfile.ZipFile(paths[1]) as archive:
            texts = [archive.read(entry).decode() for entry in archive.namelist()]
        images = {line.split()[0] for text in texts for line in text.splitlines()}
        found = [
            i for i, pair in enumerate(_pairs(counts)[name]) if len(pair[0].labels)
        ]
        assert images == {str(i) for i in found}


def test_a_folder_for_each(tmp_path):
    same = {
        name: dict(metric, output_dir=str(tmp_path)) for name, metric in METRICS.items()
    }
    with pytest.raises(ValueError, match="'harbours' and 'towns' both have output_dir"):
        MultiDatasetMetric(same)
