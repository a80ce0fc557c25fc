"""What leaks and what repeats is dropped from a run, and its place filled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from s5_mm.curation.overlap.benchmarks import Benchmarks
from s5_mm.io.crop_tables.parquet import read_table
from s5_mm.io.crop_tables.run_names import QUOTAS_FILE

from .pipeline import curate, make, write_images

BEFORE = ('plan', 'scan', 'cluster', 'score', 'select')
SIDE = 96


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> Path:
    """A run of whole images up to the selection; returns its config."""
    root = tmp_path_factory.mktemp('check')
    config = make(root)
    write_images(root / 'sea/more', range(40, 52))
    curate(config, root / 'run', stages=BEFORE, options=options())
    return config


def options(**check: object) -> dict:
    """Crops are whole images, half of which are chosen."""
    changed = {f'check.{key}': value for key, value in check.items()}
    return {
        'crop.size': SIDE,
        'crop.stride': SIDE,
        'prototypes.num_clusters': 1,
        'selection.num_selected': 12,
        **changed,
    }


def chosen_files(config: Path, work_dir: Path, stage: str) -> list[Path]:
    """Files of the crops that a stage has chosen, lowest entropy first."""
    found = []
    for part in sorted((work_dir / 'plan').glob('part-*.parquet')):
        table = read_table(part).to_pandas()
        table['chosen'] = read_table(work_dir / stage / part.name)['chosen']
        table['entropy'] = read_table(work_dir / 'score' / part.name)['entropy']
        found.append(table[table.chosen])
    sources = read_table(work_dir / 'plan/sources.parquet').to_pandas()
    rows = [row for table in found for row in table.itertuples()]
    rows.sort(key=lambda row: row.entropy)
    names = [sources.iloc[row.source] for row in rows]
    return [config.parent / name.collection / name.path for name in names]


def checked(config: Path, tmp_path: Path, **check: object) -> tuple:
    """Check a copy of the run; returns its directory and manifest."""
    run = Path(shutil.copytree(config.parent / 'run', tmp_path / 'run'))
    curate(config, run, stages=('check',), options=options(**check))
    return run, read_table(run / 'manifest.parquet').to_pandas()


def benchmark(folder: Path, files: list[Path]) -> dict:
    """Altered copies as the validation split of a benchmark."""
    folder.mkdir()
    for number, file in enumerate(files):
        pixels = np.rot90(cv2.imread(str(file)), number + 1)
        cv2.imwrite(str(folder / f'{number}.jpg'), np.ascontiguousarray(pixels))
    return {'city': {'val': {'root': str(folder)}}}


@pytest.mark.parametrize('features', [None, 0.95])
def test_leaks_are_dropped_and_refilled(world, tmp_path, features) -> None:
    before = chosen_files(world, world.parent / 'run', 'select')
    leaking = before[:3]
    run, manifest = checked(
        world,
        tmp_path,
        benchmarks=benchmark(tmp_path / 'val', leaking),
        features=features,
        duplicates=False,
    )
    dropped = manifest[manifest.decision == 'dropped']
    files = {world.parent / row.collection / row.path for row in dropped.itertuples()}
    assert files == set(leaking)
    assert dropped.reason.str.startswith('city/val: ').all()
    # As many as were asked for, and those that were chosen before stay.
    after = chosen_files(world, run, 'check')
    assert len(after) == 12 == (manifest.decision == 'selected').sum()
    assert set(before) - set(leaking) <= set(after)
    assert not set(leaking) & set(after)
    matches = read_table(run / 'check/matches.parquet').to_pandas()
    assert 'hash' in set(matches.layer)
    if features:  # of turned copies too
        found = matches[matches.layer == 'features']
        assert set(found.eval_image) == {'0.jpg', '1.jpg', '2.jpg'}
    assert (matches.verdict == 'drop').all()
    filled = json.loads((run / 'check' / QUOTAS_FILE).read_text())
    assert sum(row['filled'] for row in filled) == 12


def test_a_flag_drops_nothing(world, tmp_path) -> None:
    before = chosen_files(world, world.parent / 'run', 'select')
    run, manifest = checked(
        world,
        tmp_path,
        benchmarks=benchmark(tmp_path / 'val', before[:2]),
        policy='flag',
        duplicates=False,
    )
    assert chosen_files(world, run, 'check') == before
    assert set(read_table(run / 'check/matches.parquet')['verdict'].to_pylist()) == {
        'flag'
    }
    assert not (manifest.decision == 'dropped').any()


def test_of_near_duplicates_the_surest_stays(world, tmp_path) -> None:
    """A brighter copy of a chosen crop, with other bytes."""
    config = Path(shutil.copytree(world.parent, tmp_path / 'world')) / 'run.py'
    config.write_text(config.read_text().replace(str(world.parent), str(config.parent)))
    shutil.rmtree(config.parent / 'run')
    best = chosen_files(world, world.parent / 'run', 'select')[0]
    copy = cv2.convertScaleAbs(cv2.imread(str(best)), alpha=1.02)
    cv2.imwrite(str(config.parent / 'sea/copy.png'), copy)
    stages = (*BEFORE, 'check')
    curate(config, config.parent / 'run', stages=stages, options=options())
    manifest = read_table(config.parent / 'run/manifest.parquet').to_pandas()
    pair = manifest[manifest.path.str.endswith(('copy.png', best.name))]
    assert sorted(pair.decision) == ['dropped', 'selected']
    kept = pair[pair.decision == 'selected'].iloc[0]
    gone = pair[pair.decision == 'dropped'].iloc[0]
    assert kept.entropy <= gone.entropy
    assert gone.reason == f'near-duplicate of {kept.crop_id:016x}'
    assert (manifest.decision == 'selected').sum() == 12


def test_benchmarks_are_named_well() -> None:
    with pytest.raises(ValueError, match=r"check\.benchmarks\['city'\] has no split"):
        Benchmarks({'city': {}})
    with pytest.raises(ValueError, match=r"'a\.b'\]: the name of a benchmark has no"):
        Benchmarks({'a.b': {'val': {'root': 'x'}}})
    assert not Benchmarks({})
