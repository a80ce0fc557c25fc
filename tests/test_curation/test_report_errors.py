"""What the report refuses, and what it finds wrong with a run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from s5_mm.curation.report import ReportError, write_report
from s5_mm.curation.report.collect import read_manifest, summarise
from s5_mm.curation.report.run_record import read_run_record
from s5_mm.io.crop_tables.parquet import ManifestError, read_table, write_table

from ..support.curation_run import write_curation_run


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    write_curation_run(folder, ['a.png', 'b.png'], 3)
    return folder


@pytest.fixture
def run(original, tmp_path):
    shutil.copytree(original, tmp_path / 'run')
    return tmp_path / 'run'


def replace(folder, name, values):
    table = read_table(folder / 'manifest.parquet')
    place = table.column_names.index(name)
    write_table(folder / 'manifest.parquet', table.set_column(place, name, [values]))


def problems(folder):
    record = read_run_record(folder)
    found = read_manifest(record, None, None)
    return summarise(record, found, None, None)['problems']


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('run.json', [], 'run.json: list found, expected dict'),
        ('run.json', '{', 'run.json: no JSON'),
        ('run.json', {'classes': 3}, 'classes is 3, expected list'),
        ('run.json', {'classes': ['a', 1]}, r'classes\[1\].name is 1, expected str'),
        ('run.json', {'collections': {'a': 1}}, 'collections.a is 1, expected str'),
        ('run.json', {'crop_size': True}, 'crop_size is True, expected int'),
        ('run.json', {'commit': 1}, 'commit is 1, expected str or NoneType'),
        ('stages.json', {}, 'stages.json: dict found, expected list'),
        ('stages.json', [3], r'\[0\] is int, expected an object'),
        (
            'stages.json',
            [{'stage': 'plan', 'seconds': 1, 'items': 2}],
            r'\[0\].workers is missing, expected int',
        ),
        ('check/quotas.json', [{}], r'\[0\].wanted is missing, expected int or float'),
        (
            'check/quotas.json',
            [
                {
                    **dict.fromkeys(('wanted', 'available', 'filled'), 1),
                    **{'cluster': 4, 'redistributed': 0, 'cut': None},
                }
            ],
            r'\[0\] is cluster 4, expected 0',
        ),
    ],
)
def test_records_that_are_wrong(run, name, content, message):
    text = content if isinstance(content, str) else json.dumps(content)
    (run / name).write_text(text)
    with pytest.raises(ReportError, match=message) as error:
        write_report(run, run / 'report')
    assert str(run / name) in str(error.value)


def test_prototypes_that_are_wrong(run):
    path = run / 'cluster/prototypes.npz'
    np.savez(path, counts=np.zeros((2, 2)))
    with pytest.raises(ReportError, match=r'counts is float64 of shape \(2, 2\)'):
        write_report(run, run / 'report')
    np.savez(path, other=1)
    with pytest.raises(ReportError, match='npz: no prototypes with counts'):
        write_report(run, run / 'report')
    path.write_bytes(b'torn')
    with pytest.raises(ReportError, match='npz: no prototypes with counts'):
        write_report(run, run / 'report')


def test_manifest_that_is_missing_or_lacks_columns(run):
    table = read_table(run / 'manifest.parquet')
    for name in ('class_areas', 'margin'):
        write_table(run / 'manifest.parquet', table.drop_columns([name]))
        with pytest.raises(ReportError, match=f'parquet: no column .*{name}.* it has'):
            write_report(run, run / 'report')
    lists = table['class_areas'].cast(pa.list_(pa.float32()))
    write_table(
        run / 'manifest.parquet',
        table.drop_columns(['class_areas']).append_column('class_areas', lists),
    )
    with pytest.raises(ReportError, match='class_areas is list.* fixed size'):
        write_report(run, run / 'report')
    (run / 'manifest.parquet').unlink()
    with pytest.raises(ManifestError, match='parquet: the table does not exist'):
        write_report(run, run / 'report')


def test_values_that_cannot_be(run):
    table = read_table(run / 'manifest.parquet')
    replace(run, 'decision', pa.array(['maybe'] * len(table)))
    with pytest.raises(ReportError, match="decision 'maybe' found, allowed are"):
        write_report(run, run / 'report')
    write_table(run / 'manifest.parquet', table)
    replace(run, 'cluster', pa.array([-2] * len(table), pa.int16()))
    with pytest.raises(ReportError, match='cluster -2 found, below 0'):
        write_report(run, run / 'report')
    replace(run, 'cluster', pa.array([7] * len(table), pa.int16()))
    with pytest.raises(ReportError, match='cluster 7 found, .* are of 3 clusters'):
        write_report(run, run / 'report')


@pytest.mark.parametrize(
    ('name', 'column', 'values', 'message'),
    [
        ('matches', 'crop_id', [1], 'crop_id is int64, expected uint64'),
        ('duplicates', 'kept', [1], 'kept is int64, expected boolean'),
        ('duplicates', 'group', ['a'], 'group is string, expected integer'),
    ],
)
def test_checks_of_wrong_types(run, name, column, values, message):
    path = run / f'check/{name}.parquet'
    table = read_table(path).slice(0, 1)
    place = table.column_names.index(column)
    write_table(path, table.set_column(place, column, [pa.array(values)]))
    with pytest.raises(ReportError, match=message):
        write_report(run, run / 'report')


def test_a_good_run_has_no_problem(run):
    assert problems(run) == []


def test_problems_of_a_run(run):
    table = read_table(run / 'manifest.parquet')
    rows = table.to_pylist()
    chosen = [i for i, row in enumerate(rows) if row['decision'] == 'selected']
    rejected = [i for i, row in enumerate(rows) if row['decision'] == 'rejected']
    beyond = [i for i, row in enumerate(rows) if row['decision'] == 'unselected']
    decisions = table['decision'].to_pylist()
    decisions[rejected[0]] = decisions[beyond[0]] = decisions[beyond[1]] = 'selected'
    entropies = table['entropy'].to_pylist()
    entropies[chosen[0]] = float('nan')
    replace(run, 'decision', pa.array(decisions))
    replace(run, 'entropy', pa.array(entropies, pa.float32()))
    settings = json.loads((run / 'run.json').read_text())
    settings['hashes']['manifest'] = 'f' * 64
    (run / 'run.json').write_text(json.dumps(settings))
    found = '\n'.join(problems(run))
    assert '1 selected crops have no entropy.' in found
    assert '2 selected crops have an entropy above the cut' in found
    assert '1 scored crops have an entropy that is no number.' in found
    assert f'run.json says {"f" * 64}' in found
    assert 'crops are selected in the manifest, the quotas say' in found
