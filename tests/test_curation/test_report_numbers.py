"""The numbers of the report against plain numpy over the whole table."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s5_mm.curation.report import table_batches, write_report
from s5_mm.curation.report.collect import read_manifest, summarise
from s5_mm.curation.report.leakage_tables import read_duplicates, read_matches
from s5_mm.curation.report.picks import Smallest
from s5_mm.curation.report.run_record import read_run_record
from s5_mm.curation.report.summary import collection_matrices
from s5_mm.curation.report.tally import Key
from s5_mm.io.crop_tables.parquet import SOURCES, read_table, versioned, write_table

from ..support.curation_run import CLASSES, cut_of, write_curation_run

M = 5


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    names = [f'{n}.png' for n in range(8)]
    table = write_curation_run(folder, names, M)
    quotas = json.loads((folder / 'check/quotas.json').read_text())
    empty = {'wanted': 3, 'available': 0, 'filled': 0, 'redistributed': -3}
    quotas.append({'cluster': M, **empty, 'cut': None})
    (folder / 'check/quotas.json').write_text(json.dumps(quotas))
    rows = [
        [0, 'east', '0.png', 256, 256, 'PNG', 1000, 1, ''],
        [1, 'west', 'torn.png', 0, 0, '', 7, 1, 'truncated'],
        [2, 'east', '1.png', 256, 128, 'PNG', 500, 1, ''],
    ]
    sources = pa.table([list(column) for column in zip(*rows, strict=True)], SOURCES)
    write_table(folder / 'plan/sources.parquet', sources)
    write_report(folder, folder / 'report')
    return folder, table.to_pylist()


@pytest.fixture(scope='module')
def numbers(run):
    return json.loads((run[0] / 'report/report.json').read_text())


def collect(folder):
    record = read_run_record(folder)
    matches = read_matches(folder / 'check/matches.parquet')
    duplicates = read_duplicates(folder / 'check/duplicates.parquet')
    found = read_manifest(record, matches, duplicates)
    return found, summarise(record, found, matches, duplicates), matches, duplicates


def test_overview(run, numbers):
    rows, found = run[1], numbers['overview']
    assert found['planned'] == len(rows) == 128
    assert found['scored'] == sum(row['entropy'] is not None for row in rows)
    decisions = Counter(row['decision'] for row in rows)
    assert {name: found[name] for name in decisions} == decisions
    assert decisions['selected']
    assert decisions['rejected']
    for decision, column in (('rejected', 'rejected'), ('dropped', 'reason')):
        own = Counter(row[column] for row in rows if row['decision'] == decision)
        assert found['reasons'].get(decision, {}) == own
    assert not numbers['problems']


def test_clusters(run, numbers):
    rows = run[1]
    step = np.log(len(CLASSES)) / 2048
    assert [row['cluster'] for row in numbers['clusters']] == list(range(M + 1))
    for m, found in enumerate(numbers['clusters']):
        own = [row for row in rows if row['cluster'] == m]
        for name in ('selected', 'dropped'):
            assert found[name] == sum(row['decision'] == name for row in own)
        assert found['scored'] == len(own)
        assert found['labelled'] == (m + 10 if m < M else None)
        for key, kept in (
            ('median_pool', own),
            ('median_selected', [r for r in own if r['decision'] == 'selected']),
        ):
            values = sorted(row['entropy'] for row in kept)
            if not values:
                assert found[key] is None
                continue
            lower = values[-(-len(values) // 2) - 1]
            assert found[key] == pytest.approx(lower, abs=step / 2 + 1e-6)
    empty = numbers['clusters'][M]
    assert (empty['wanted'], empty['scored'], empty['cut']) == (3, 0, None)


def test_means_and_class_areas(run, numbers):
    scored = [row for row in run[1] if row['entropy'] is not None]
    chosen = [row for row in scored if row['decision'] == 'selected']
    for name, found in numbers['means'].items():
        wanted = [np.mean([row[name] for row in group]) for group in (scored, chosen)]
        assert found == pytest.approx(wanted, rel=1e-6)
    areas = [np.mean([row['class_areas'] for row in g], 0) for g in (scored, chosen)]
    for k, found in enumerate(numbers['class_areas']):
        assert found['class'] == CLASSES[k]
        wanted = [areas[0][k], areas[1][k]]
        assert [found['scored'], found['selected']] == pytest.approx(wanted, rel=1e-6)
    assert len(numbers['class_areas']) == len(CLASSES)


def test_histograms_hold_every_crop(run):
    found, _, _, _ = collect(run[0])
    tally = found.tally
    for name, kept in (('pool', None), ('selected', 'selected')):
        for m in range(M):
            values = [
                row['entropy']
                for row in run[1]
                if row['cluster'] == m and kept in (None, row['decision'])
            ]
            wanted = np.histogram(values, tally.bin_edges)[0]
            # In fp32 a value may fall into the bin beside.
            assert np.abs(np.cumsum(getattr(tally, name)[m] - wanted)).max() <= 1
            assert getattr(tally, name)[m].sum() == len(values)


def test_collections(run, numbers):
    assert [row['collection'] for row in numbers['collections']] == ['east', 'west']
    for found in numbers['collections']:
        own = [row for row in run[1] if row['collection'] == found['collection']]
        assert found['planned'] == len(own)
        for name in ('selected', 'unselected', 'rejected', 'dropped'):
            assert found[name] == sum(row['decision'] == name for row in own)
    east, west = (numbers['sources']['collections'][name] for name in ('east', 'west'))
    pixels = 256 * 256 + 256 * 128
    assert east == {'files': 2, 'unreadable': 0, 'bytes': 1500, 'pixels': pixels}
    assert west == {'files': 1, 'unreadable': 1, 'bytes': 7, 'pixels': 0}
    (problem,) = numbers['sources']['problems']
    assert list(problem.values()) == ['west', 'torn.png', 'truncated']


def test_matrix_of_collections(run):
    found, _, _, _ = collect(run[0])
    names, selected, scored = collection_matrices(found.counts, M)
    for c, name in enumerate(names):
        for m in range(M):
            own = [r for r in run[1] if (r['collection'], r['cluster']) == (name, m)]
            assert scored[c, m] == len(own)
            assert selected[c, m] == sum(r['decision'] == 'selected' for r in own)


def test_matrix_folds_the_smallest_collections():
    sizes = {'a': 5, 'b': 1, 'c': 7, 'd': 2}
    counts = {
        Key(name, '', 'selected' if name in 'bc' else 'unselected', 0, True): size
        for name, size in sizes.items()
    }
    names, selected, scored = collection_matrices(counts, 1, most=3)
    assert names == ['a', 'c', '2 others']
    assert scored.ravel().tolist() == [5, 7, 3]
    assert selected.ravel().tolist() == [0, 7, 1]


def test_sheets_show_the_extremes(run, numbers):
    rows = run[1]
    sheets = {
        name: [crop.get('crop_id') for crop in crops]
        for name, crops in numbers['sheets'].items()
    }
    chosen = [row for row in rows if row['decision'] == 'selected']
    best = sorted(chosen, key=lambda row: (row['entropy'], row['crop_id']))[:24]
    assert sheets['best'] == [str(row['crop_id']) for row in best]
    pairs, typical = [], []
    for m in range(M):
        own = [row for row in rows if row['cluster'] == m]
        inside = [row for row in own if row['decision'] == 'selected']
        cut = float(cut_of(m, M))
        outside = [
            r for r in own if r['decision'] == 'unselected' and r['entropy'] >= cut
        ]
        if inside and outside:
            pairs.append(max(inside, key=lambda row: row['entropy']))
            pairs.append(min(outside, key=lambda row: row['entropy']))
        own.sort(key=lambda r: (r['decision'] != 'selected', -r['similarity']))
        typical += own[:6]
    assert sheets['borderline'] == [str(row['crop_id']) for row in pairs]
    assert sheets['typical'] == [str(row['crop_id']) for row in typical]
    for kind, column in (('rejected', 'rejected'), ('dropped', 'reason')):
        wanted = []
        for reason in sorted({r[column] for r in rows if r['decision'] == kind}):
            own = sorted(r['crop_id'] for r in rows if r[column] == reason)
            wanted += map(str, own[:12])
        assert sheets.get(kind, []) == wanted


def test_leaks(run, numbers):
    rows = run[1]
    ids = [row['crop_id'] for row in rows]
    found = {
        (c['collection'], c['benchmark'], c['split'], c['layer'], c['verdict']): c
        for c in numbers['leaks']
    }
    assert set(found) == {
        ('east', 'bench', 'val', 'name', 'flag'),
        ('east', 'bench', 'test', 'hash', 'flag'),
        ('east', 'bench', 'val', 'hash', 'flag'),
        ('west', 'other', 'val', 'hash', 'keep'),
    }
    assert all(cell['crops'] == 1 for cell in found.values())
    last = found['west', 'other', 'val', 'hash', 'keep']
    assert last['selected'] == (rows[-1]['decision'] == 'selected')
    shown = [crop['crop_id'] for crop in numbers['sheets']['leaks'][::2]]
    # By layer, then the closest first.
    assert shown == [str(ids[i]) for i in (1, 0, -1, 0)]


def test_a_crop_counts_once_in_a_cell_and_strangers_are_told(run):
    folder = run[0].parent / 'leaks'
    shutil.copytree(run[0], folder)
    crop = run[1][0]['crop_id']
    table = {
        'crop_id': pa.array([crop, crop, 1], pa.uint64()),
        **{name: ['b'] * 3 for name in ('benchmark', 'split', 'eval_image', 'layer')},
        'distance': pa.array([1, 2, 3], pa.float32()),
        'verdict': ['drop'] * 3,
    }
    write_table(folder / 'check/matches.parquet', pa.table(table))
    _, numbers, matches, _ = collect(folder)
    cells = {cell['collection']: cell for cell in numbers['leaks']}
    assert cells['east']['crops'] == 1
    assert cells['(not in the manifest)']['crops'] == 1
    assert cells['(not in the manifest)']['selected'] == 0
    assert len(matches.pairs()) == 2
    chosen = run[1][0]['decision'] == 'selected'
    assert any('says to drop' in text for text in numbers['problems']) == chosen


def test_duplicates(run, numbers):
    ids = [row['crop_id'] for row in run[1]]
    assert numbers['duplicates']['kept'] == 2
    assert numbers['duplicates']['sizes'] == [
        {'size': 2, 'groups': 1, 'crops': 2},
        {'size': 3, 'groups': 1, 'crops': 3},
    ]
    shown = [crop['crop_id'] for crop in numbers['sheets']['duplicates']]
    removed = sorted((ids[2], ids[4]))
    gone = [ids[6]]
    assert shown == [str(i) for i in (ids[3], *removed, ids[5], *gone)]


@pytest.mark.parametrize(('rows', 'group'), [(7, 1000), (7, 5), (20, 6), (1000, 3)])
def test_batches_and_row_groups_change_nothing(run, tmp_path, monkeypatch, rows, group):
    found, numbers, _, _ = collect(run[0])
    copy = tmp_path / 'run'
    shutil.copytree(run[0], copy)
    table = read_table(copy / 'manifest.parquet')
    pq.write_table(table, copy / 'manifest.parquet', row_group_size=group)
    monkeypatch.setattr(table_batches, 'BATCH_ROWS', rows)
    sizes = [
        len(b) for _, b in table_batches.iterate(copy / 'manifest.parquet', ['path'])
    ]
    assert sum(sizes) == 128
    assert max(sizes) <= rows
    again, others, _, _ = collect(copy)
    numbers.pop('hashes')
    # The order of a sum of floats is that of the batches.
    for name, sums in numbers.pop('means').items():
        assert others['means'][name] == pytest.approx(sums)
    for area, other in zip(
        numbers.pop('class_areas'), others.pop('class_areas'), strict=True
    ):
        assert area == pytest.approx(other)
    for name in ('means', 'hashes'):
        others.pop(name)
    assert others == numbers
    for name in ('best', 'inside', 'outside', 'typical', 'rejected', 'dropped'):
        one, two = getattr(found.picks, name).rows(), getattr(again.picks, name).rows()
        assert one == two


def test_rows_are_taken_from_any_row_group(tmp_path):
    table = pa.table({'crop_id': pa.array(range(50), pa.uint64())})
    table = table.replace_schema_metadata(versioned(table.schema).metadata)
    pq.write_table(table, tmp_path / 'm.parquet', row_group_size=7)
    rows = np.array([49, 0, 13, 14, 14, 6])
    found = table_batches.take_rows(tmp_path / 'm.parquet', rows, ['crop_id'])
    assert found == {row: {'crop_id': row} for row in (0, 6, 13, 14, 49)}


def test_smallest_of_groups_with_ties():
    rng = np.random.default_rng(3)
    group, key = rng.integers(0, 5, 400), rng.integers(0, 6, 400).astype(float)
    crop_id = rng.permutation(400).astype(np.uint64)
    smallest = Smallest(4)
    for start in range(0, 400, 37):
        part = slice(start, start + 37)
        rows = np.arange(400)[part]
        smallest.add(group[part], key[part], crop_id[part], rows)
    for g in range(5):
        own = [r for r in range(400) if group[r] == g]
        own.sort(key=lambda r: (key[r], crop_id[r]))
        assert smallest.rows()[g] == own[:4]
