"""The numbers of the report against plain numpy over the whole table."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s5_mm.curation.report import table_batches
from s5_mm.curation.report.collect import read_manifest, summarise
from s5_mm.curation.report.leakage_tables import (
    Duplicates,
    Matches,
    read_duplicates,
    read_matches,
)
from s5_mm.curation.report.picks import Smallest
from s5_mm.curation.report.summary import collection_matrices
from s5_mm.curation.report.tally import Key
from s5_mm.io.crop_tables.parquet import read_table, versioned, write_table

from .report_world import NUM_CLUSTERS, NUM_SELECTED, SIDE, read_record
from .scoring import CLASSES


@pytest.fixture(scope='module')
def rows(report_world):
    return read_table(report_world.parent / 'run/manifest.parquet').to_pylist()


@pytest.fixture(scope='module')
def numbers(report_world):
    return json.loads((report_world.parent / 'run/report/report.json').read_text())


def collect(config, folder):
    record = read_record(config, folder)
    matches = read_matches(folder / 'check/matches.parquet')
    duplicates = read_duplicates(folder / 'check/duplicates.parquet')
    found = read_manifest(record, matches, duplicates)
    return found, summarise(record, found, matches, duplicates)


@pytest.fixture(scope='module')
def collected(report_world):
    return collect(report_world, report_world.parent / 'run')


def of(rows, **wanted):
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


def test_overview(rows, numbers):
    found = numbers['overview']
    assert found['planned'] == len(rows)
    assert found['scored'] == sum(row['entropy'] is not None for row in rows)
    decisions = Counter(row['decision'] for row in rows)
    assert {name: found[name] for name in decisions} == decisions
    assert len(decisions) == 4
    assert decisions['selected'] == NUM_SELECTED
    for decision, column in (('rejected', 'rejected'), ('dropped', 'reason')):
        own = Counter(row[column] for row in of(rows, decision=decision))
        assert found['reasons'][decision] == own
    assert numbers['problems'] == []


def test_clusters(report_world, rows, numbers):
    folder = report_world.parent / 'run'
    step = np.log(len(CLASSES)) / 2048
    labelled = np.load(folder / 'cluster/prototypes.npz')['counts']
    quotas = json.loads((folder / 'check/quotas.json').read_text())
    assert len(numbers['clusters']) == NUM_CLUSTERS == len(quotas)
    for m, found in enumerate(numbers['clusters']):
        own = of(rows, cluster=m)
        for name in ('selected', 'dropped'):
            assert found[name] == len(of(own, decision=name))
        assert found['scored'] == len(own)
        assert found['labelled'] == labelled[m]
        assert {key: found[key] for key in quotas[m]} == quotas[m]
        chosen = of(own, decision='selected')
        assert found['cut'] == max(row['entropy'] for row in chosen)
        for key, kept in (('median_pool', own), ('median_selected', chosen)):
            values = sorted(row['entropy'] for row in kept)
            lower = values[-(-len(values) // 2) - 1]
            assert found[key] == pytest.approx(lower, abs=step / 2 + 1e-6)


def test_means_and_class_areas(rows, numbers):
    scored = [row for row in rows if row['entropy'] is not None]
    chosen = of(scored, decision='selected')
    for name, found in numbers['means'].items():
        wanted = [np.mean([row[name] for row in group]) for group in (scored, chosen)]
        assert found == pytest.approx(wanted, rel=1e-6)
    areas = [np.mean([row['class_areas'] for row in g], 0) for g in (scored, chosen)]
    assert [row['class'] for row in numbers['class_areas']] == list(CLASSES)
    for k, found in enumerate(numbers['class_areas']):
        wanted = [areas[0][k], areas[1][k]]
        assert [found['scored'], found['selected']] == pytest.approx(wanted, rel=1e-6)


def test_histograms_hold_every_crop(rows, collected):
    tally = collected[0].tally
    for name, kept in (('pool', {}), ('selected', {'decision': 'selected'})):
        for m in range(NUM_CLUSTERS):
            values = [row['entropy'] for row in of(rows, cluster=m, **kept)]
            wanted = np.histogram(values, tally.bin_edges)[0]
            # In fp32 a value may fall into the bin beside.
            assert np.abs(np.cumsum(getattr(tally, name)[m] - wanted)).max() <= 1
            assert getattr(tally, name)[m].sum() == len(values)


def test_collections(report_world, rows, numbers):
    assert [row['collection'] for row in numbers['collections']] == ['land', 'sea']
    for found in numbers['collections']:
        own = of(rows, collection=found['collection'])
        assert found['planned'] == len(own)
        for name in ('selected', 'unselected', 'rejected', 'dropped'):
            assert found[name] == len(of(own, decision=name))
    for name, found in numbers['sources']['collections'].items():
        files = list((report_world.parent / name).iterdir())
        read = [file for file in files if file.name != 'broken.png']
        assert found['files'] == len(files)
        assert found['bytes'] == sum(file.stat().st_size for file in read)
        assert found['unreadable'] == len(files) - len(read) == (name == 'land')
        assert found['pixels'] == len(read) * SIDE * SIDE
    (problem,) = numbers['sources']['problems']
    assert list(problem.values())[:2] == ['land', 'broken.png']
    assert problem['problem']


def test_matrix_of_collections(rows, collected):
    names, selected, scored = collection_matrices(collected[0].counts, NUM_CLUSTERS)
    assert names == ['land', 'sea']
    for c, name in enumerate(names):
        for m in range(NUM_CLUSTERS):
            own = of(rows, collection=name, cluster=m)
            assert scored[c, m] == len(own)
            assert selected[c, m] == len(of(own, decision='selected'))


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


def test_sheets_show_the_extremes(rows, numbers):
    sheets = {
        name: [crop.get('crop_id') for crop in crops]
        for name, crops in numbers['sheets'].items()
    }
    chosen = of(rows, decision='selected')
    best = sorted(chosen, key=lambda row: (row['entropy'], row['crop_id']))[:24]
    assert sheets['best'] == [str(row['crop_id']) for row in best]
    pairs, typical = [], []
    for m in range(NUM_CLUSTERS):
        own = of(rows, cluster=m)
        inside = of(own, decision='selected')
        cut = max(row['entropy'] for row in inside)
        outside = [r for r in of(own, decision='unselected') if r['entropy'] >= cut]
        if outside:
            pairs.append(max(inside, key=lambda row: row['entropy']))
            pairs.append(min(outside, key=lambda row: row['entropy']))
        own.sort(key=lambda r: (r['decision'] != 'selected', -r['similarity']))
        typical += own[:6]
    assert pairs
    assert sheets['borderline'] == [str(row['crop_id']) for row in pairs]
    assert sheets['typical'] == [str(row['crop_id']) for row in typical]
    for kind, column in (('rejected', 'rejected'), ('dropped', 'reason')):
        wanted = []
        own = of(rows, decision=kind)
        for reason in sorted({row[column] for row in own}):
            ids = sorted(row['crop_id'] for row in own if row[column] == reason)
            wanted += map(str, ids[:12])
        assert sheets[kind] == wanted


def test_leaks(report_world, rows, numbers):
    table = read_table(report_world.parent / 'run/check/matches.parquet').to_pylist()
    of_crop = {row['crop_id']: row for row in rows}
    cells = {}
    for match in table:
        crop = of_crop[match['crop_id']]
        key = (crop['collection'], *(match[k] for k in ('benchmark', 'split', 'layer')))
        cells.setdefault((*key, match['verdict']), {})[crop['crop_id']] = crop
    keys = ('collection', 'benchmark', 'split', 'layer', 'verdict')
    found = {tuple(cell[k] for k in keys): cell for cell in numbers['leaks']}
    assert set(found) == set(cells)
    assert {key[3] for key in cells} == {'hash', 'provenance'}
    assert {key[4] for key in cells} == {'drop', 'flag'}
    for key, crops in cells.items():
        assert found[key]['crops'] == len(crops)
        chosen = of(crops.values(), decision='selected')
        assert found[key]['selected'] == len(chosen) == (key[4] == 'flag')
    # By layer, then the closest first; three at most of a benchmark, split and layer.
    shown = numbers['sheets']['leaks']
    pairs = [
        (crop['strip'], int(crop['crop_id']), image['split'], image['eval_image'])
        for crop, image in zip(shown[::2], shown[1::2], strict=True)
    ]
    order = sorted(table, key=lambda m: (m['layer'], m['distance'], m['crop_id']))
    wanted, taken = [], Counter()
    for match in order:
        taken[match['split'], match['layer']] += 1
        if taken[match['split'], match['layer']] <= 3:
            name = f'layer {match["layer"]}'
            wanted.append((name, match['crop_id'], match['split'], match['eval_image']))
    assert pairs == wanted


def test_a_crop_counts_once_in_a_cell_and_strangers_are_told(report_world, rows):
    crop = of(rows, decision='selected')[0]
    table = {
        'crop_id': pa.array([crop['crop_id'], crop['crop_id'], 1], pa.uint64()),
        **{name: ['b'] * 3 for name in ('benchmark', 'split', 'eval_image', 'layer')},
        'distance': pa.array([1, 2, 3], pa.float32()),
        'verdict': ['drop'] * 3,
    }
    matches = Matches(pa.table(table))
    none = {'crop_id': pa.uint64(), 'group': pa.int64(), 'kept': pa.bool_()}
    duplicates = Duplicates(pa.schema(none).empty_table())
    record = read_record(report_world, report_world.parent / 'run')
    found = read_manifest(record, matches, duplicates)
    numbers = summarise(record, found, matches, duplicates)
    cells = {cell['collection']: cell for cell in numbers['leaks']}
    assert cells[crop['collection']]['crops'] == 1
    assert cells['(not in the manifest)']['crops'] == 1
    assert cells['(not in the manifest)']['selected'] == 0
    assert len(matches.pairs()) == 2
    (problem,) = numbers['problems']
    assert problem.startswith('1 selected crops match an evaluation image that the')
    assert numbers['duplicates'] == {'sizes': [], 'kept': 0}


def test_duplicates(report_world, numbers):
    """Groups as they are, then larger ones, of which kept crops come first."""
    path = report_world.parent / 'run/check/duplicates.parquet'
    table = read_table(path).to_pandas()
    sizes = Counter(table.groupby('group').size())
    assert numbers['duplicates']['kept'] == table.kept.sum() > 0
    assert numbers['duplicates']['sizes'] == [
        {'size': size, 'groups': n, 'crops': size * n}
        for size, n in sorted(sizes.items())
    ]
    shown = [int(crop['crop_id']) for crop in numbers['sheets']['duplicates']]
    wanted = table.sort_values(['group', 'kept'], ascending=[True, False])
    assert shown == wanted.crop_id.tolist()
    group = {'crop_id': pa.array(range(5), pa.uint64()), 'group': [5, 9, 9, 5, 9]}
    found = Duplicates(pa.table({**group, 'kept': [True, False, False, False, True]}))
    assert [(size['size'], size['groups']) for size in found.sizes()] == [
        (2, 1),
        (3, 1),
    ]
    found.watch.row[:] = found.watch.crop_id
    assert found.examples() == [(3, [4, 1, 2]), (2, [0, 3])]


@pytest.mark.parametrize(('rows', 'group'), [(7, 1000), (7, 5), (20, 6), (1000, 3)])
def test_batches_and_row_groups_change_nothing(
    report_world, collected, tmp_path, monkeypatch, rows, group
):
    found, numbers = collected[0], dict(collected[1])
    copy = tmp_path / 'run'
    shutil.copytree(report_world.parent / 'run', copy)
    table = read_table(copy / 'manifest.parquet')
    pq.write_table(table, copy / 'manifest.parquet', row_group_size=group)
    monkeypatch.setattr(table_batches, 'BATCH_ROWS', rows)
    sizes = [
        len(b) for _, b in table_batches.iterate(copy / 'manifest.parquet', ['path'])
    ]
    assert sum(sizes) == len(table)
    assert max(sizes) <= rows
    again, others = collect(report_world, copy)
    # The order of a sum of floats is that of the batches.
    for name, sums in numbers.pop('means').items():
        assert others['means'][name] == pytest.approx(sums)
    for area, other in zip(
        numbers.pop('class_areas'), others.pop('class_areas'), strict=True
    ):
        assert area == pytest.approx(other)
    numbers.pop('hashes')
    for name in ('means', 'hashes'):
        others.pop(name)
    assert others == numbers
    for name in ('best', 'inside', 'outside', 'typical', 'rejected', 'dropped'):
        one, two = getattr(found.picks, name).rows(), getattr(again.picks, name).rows()
        assert one == two


def test_problems_of_a_run(report_world, rows, tmp_path):
    """A manifest in which what must not be was written down."""
    folder = tmp_path / 'run'
    shutil.copytree(report_world.parent / 'run', folder)
    changed = [dict(row) for row in rows]
    of(changed, decision='rejected')[0]['decision'] = 'selected'
    cuts = read_record(report_world, folder).cuts()
    beyond = [
        row
        for row in of(changed, decision='unselected')
        if row['entropy'] > cuts[row['cluster']]
    ]
    beyond[0]['decision'] = beyond[1]['decision'] = 'selected'
    of(changed, decision='dropped')[0]['entropy'] = float('nan')
    schema = read_table(folder / 'manifest.parquet').schema
    write_table(folder / 'manifest.parquet', pa.Table.from_pylist(changed, schema))
    found = '\n'.join(collect(report_world, folder)[1]['problems'])
    assert '1 selected crops have no entropy.' in found
    assert '2 selected crops have an entropy above the cut' in found
    assert '1 scored crops have an entropy that is no number.' in found
    assert 'crops are selected in the manifest, the quotas say' in found


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
