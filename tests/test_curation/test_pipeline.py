"""A run of curation ends in the same bytes however often and by whom it is done."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import pytest

from data_curation import curate as curate_command
from s5_mm.cli.command import run_command
from s5_mm.curation.run import CurationRun
from s5_mm.curation.settings import CurationSettings, load_settings
from s5_mm.curation.stage import Stage
from s5_mm.curation.stages import STAGE_TYPES
from s5_mm.curation.status import outlook, status
from s5_mm.curation.work_dir import WorkDir
from s5_mm.io.crop_tables.parquet import ManifestError, read_table
from s5_mm.io.crop_tables.run_names import STAGES
from s5_mm.io.heartbeat import Heartbeat

from .pipeline import NUM_SELECTED, ROOT, CuratingChild, curate, make

# A dozen take a minute; S5_MM_KILLS=50 for more.
KILLS = int(os.environ.get('S5_MM_KILLS', '12'))
RESULTS = ('manifest.parquet', 'shards/*', 'check/matches.parquet')


def results(work_dir: Path) -> dict[str, bytes]:
    """What a run is for, byte by byte."""
    files = (file for pattern in RESULTS for file in work_dir.glob(pattern))
    return {str(file.relative_to(work_dir)): file.read_bytes() for file in files}


@pytest.fixture(scope='module', autouse=True)
def server():
    """A fork server for this module: its first child decides what is imported."""
    forkserver._forkserver._stop()
    yield
    forkserver._forkserver._stop()


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp('curation'))


@pytest.fixture(scope='module')
def done(config) -> Path:
    """A run that nobody disturbed."""
    child = CuratingChild(config, config.parent / 'done', 1, config.parent / 'log')
    assert child.finish() == 0, (config.parent / 'log').read_text()[-3000:]
    return config.parent / 'done'


def test_the_result(done) -> None:
    manifest = read_table(done / 'manifest.parquet').to_pandas()
    assert (manifest.decision == 'selected').sum() == NUM_SELECTED
    assert len(manifest) == 14 * 9
    flat = manifest[manifest.path == 'flat.png']
    assert set(flat.decision) == {'rejected'}
    assert set(flat.reason) == {'flat'}
    chosen = manifest[manifest.decision == 'selected']
    rest = manifest[manifest.decision == 'unselected']
    for cluster, rows in chosen.groupby('cluster'):
        assert rows.entropy.max() <= rest[rest.cluster == cluster].entropy.min()
    index = read_table(done / 'shards/index.parquet')
    assert set(index['crop_id'].to_pylist()) == set(chosen.crop_id)
    sources = read_table(done / 'plan/sources.parquet').to_pandas()
    (broken,) = sources[sources.problem != ''].path
    assert broken == 'broken.png'
    page = (done / 'report/report.html').read_text()
    assert 'flat' in page


def test_killed_at_random_moments(config, done) -> None:
    """The processes that decode are one or two in turn."""
    draws, kills, trials = random.Random(0), 0, 0
    wanted, log = results(done), config.parent / 'killed.log'
    number = 0
    while kills < KILLS:
        work_dir = config.parent / f'killed_{number}'
        child = CuratingChild(config, work_dir, 1 + trials % 2, log)
        trials += 1
        time.sleep(draws.uniform(0, 4))
        if child.process.is_alive():
            os.kill(child.process.pid, signal.SIGKILL)
        status_ = child.finish()
        assert status_ in (0, -signal.SIGKILL), log.read_text()[-3000:]
        kills += status_ == -signal.SIGKILL
        if status_ == 0:
            assert results(work_dir) == wanted
            number += 1
    last = CuratingChild(config, config.parent / f'killed_{number}', 1, log)
    assert last.finish() == 0, log.read_text()[-3000:]
    assert results(config.parent / f'killed_{number}') == wanted


def test_status_and_outlook(config, done, tmp_path) -> None:
    lines = status(WorkDir(done)).splitlines()
    assert [line.split()[0] for line in lines] == list(STAGES)
    assert re.search(r'plan +done in \d+ s, 126 crops', lines[0])
    with pytest.raises(ManifestError, match='no run of curation is here'):
        status(WorkDir(tmp_path))
    curate(config, tmp_path / 'run', stages=('plan',))
    run = CurationRun(load_settings(config), WorkDir(tmp_path / 'run'))
    text = outlook(run, ('plan', 'scan', 'select'))
    assert text.splitlines() == [
        'plan         done',
        'scan         to do (5 of 5 parts, 126 crops)',
        'select       to do (126 crops)',
    ]
    fresh = outlook(CurationRun(load_settings(config), WorkDir(tmp_path)), ('plan',))
    assert fresh == 'plan         to do (land: 7 images, sea: 8 images)'


def test_a_silent_stage_shows_that_it_is_at_work(config, tmp_path) -> None:
    lines, beaten = [], threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        beaten.set()

    class Silent(Stage):
        name = 'select'

        def settings(self) -> dict:
            return {}

        def make(self) -> dict:
            if self.curation.quiet:
                lines.clear()
            else:
                beaten.wait(60)
            return {'items': 0}

    heartbeat = Heartbeat(every=0.001, write=write)
    run = CurationRun(load_settings(config), WorkDir(tmp_path), heartbeat=heartbeat)
    Silent(run).run()
    assert Silent(run).done()
    assert lines[0] == 'select: at work for 0 s'
    # What shows its progress is not reported as silent, and a quiet run says nothing.
    heartbeat.last = 0.0
    run.progress('select', 'crops')(1, 2)
    assert heartbeat.last > 0
    quiet = replace(run, work=WorkDir(tmp_path / 'quiet'), quiet=True)
    Silent(quiet).run()
    assert Silent(quiet).done()
    assert lines == []


def test_other_settings_and_changed_sources_are_named(config, tmp_path) -> None:
    work_dir = tmp_path / 'run'
    curate(config, work_dir, stages=('plan',))
    with pytest.raises(
        ManifestError, match=r'crop.stride=32, now it is 16; .* --redo p'
    ):
        curate(config, work_dir, stages=('plan',), options={'crop.stride': 16})
    with pytest.raises(ManifestError, match="the stage 'scan' is not finished"):
        curate(config, work_dir, stages=('score',))
    path = config.parent / 'sea/010.png'
    content, times = path.read_bytes(), path.stat()
    try:
        path.write_bytes(content + b' ')
        with pytest.raises(ManifestError, match=r'010\.png: the source has changed'):
            curate(config, work_dir, stages=('scan',))
        path.unlink()
        with pytest.raises(ManifestError, match=r'010\.png: the source has vanished'):
            curate(config, work_dir, stages=('scan',))
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    curate(config, work_dir, stages=('scan',))
    WorkDir(work_dir).forget('scan')
    assert not (work_dir / 'scan').exists()
    assert (work_dir / 'plan').exists()


def test_more_than_there_is(config, done, tmp_path) -> None:
    for stage in ('plan', 'scan', 'cluster', 'score'):
        (tmp_path / stage).symlink_to(done / stage)
    with pytest.raises(ValueError, match='num_selected=1000, but only'):
        curate(config, tmp_path, stages=('select',), options=_number(1000))


def _number(number: int) -> dict:
    return {'selection.num_selected': number}


def test_one_run_in_a_directory(tmp_path) -> None:
    work = WorkDir(tmp_path / 'run')
    with (
        work.lock(),
        pytest.raises(
            ManifestError, match=f'another run works .*process {os.getpid()}'
        ),
        WorkDir(tmp_path / 'run').lock(),
    ):
        pass
    with work.lock():
        pass


def test_config_errors(config) -> None:
    collections = dict(a=dict(root='x'))
    for wrong, message in (
        (dict(collections=collections), "no 'labelled'"),
        (dict(colections=collections), "unknown key 'colections', did you mean"),
        (dict(collections={}, labelled=dict(root='x')), 'collections is empty'),
        (
            dict(collections=dict(a=dict(folder='x')), labelled=dict(root='x')),
            r"collections\['a'\]: no 'root'",
        ),
        (
            dict(collections=collections, labelled=dict(root='x'), crop=dict(side=1)),
            "crop has the unknown key 'side'",
        ),
        (
            dict(collections=collections, labelled=dict(root='x'), crop=dict(size=0)),
            'size=0',
        ),
        *(
            (
                dict(
                    collections=collections,
                    labelled=dict(root='x'),
                    check=dict(gains=gains),
                ),
                re.escape(f'check.gains={gains}, allowed are numbers above 0'),
            )
            for gains in ([], [0.7, 1], [1, 0])
        ),
    ):
        with pytest.raises(ValueError, match=message):
            CurationSettings(wrong)
    settings = CurationSettings(dict(collections=collections, labelled=dict(root='x')))
    with pytest.raises(ValueError, match='the config has no scorer.checkpoint'):
        settings.need('scorer', 'checkpoint')
    moved = load_settings(config, {'data_root': '/elsewhere'})
    assert moved.labelled.root == '/elsewhere/labelled'


def test_every_stage_is_there() -> None:
    assert tuple(STAGE_TYPES) == STAGES


def test_the_command(config, done, tmp_path, capfd) -> None:
    """It says what it did, and what is wrong in one line."""
    script = ['data_curation/curate.py', 'run', str(config), '--work-dir', str(done)]
    again = subprocess.run(
        [sys.executable, '-W', 'ignore', *script],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout == status(WorkDir(done)) + '\n'
    missing = ['run', 'nowhere.py', '--work-dir', str(tmp_path)]
    assert run_command(curate_command.main, missing) == 2
    error = capfd.readouterr().err
    assert 'nowhere.py' in error
    assert 'Traceback' not in error
