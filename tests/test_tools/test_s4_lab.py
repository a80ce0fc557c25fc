"""Grids of real trainings: paired, skipped, resumed, refused, interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from s5_mm.cli.command import run_command
from tools.analysis_tools import s4_lab

from ..support.signals import listen_to_ctrl_c
from ..support.warm_python import warm_python
from ..test_end_to_end.toy_s4p import toy_config, write_scenes

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/s4_lab.py'

GRID = """
seeds = [0, 1]
baseline = 'labels_only'
arms = dict(
    labels_only=dict(config='supervised.py'),
    recipe=dict(config='fixmatch.py', options={'model.semi_train_cfg.burn_in': 2}),
    broken=dict(
        config='fixmatch.py',
        options={'train_dataloader.dataset.sources.sup.data_root': '{data}/none'},
    ),
)
"""


@pytest.fixture(autouse=True)
def _trainings_start_at_once(monkeypatch):
    """Labs in this process start them with its interpreter."""
    monkeypatch.setattr(sys, 'executable', warm_python())


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Drawn scenes, and configs of four iterations."""
    folder = tmp_path_factory.mktemp('lab')
    write_scenes(folder / 'data')
    for name in ('supervised', 'fixmatch'):
        cfg = toy_config(
            folder / 'elsewhere',
            name,
            train_cfg__max_iters=4,
            train_cfg__val_interval=2,
            default_hooks__checkpoint__interval=2,
            default_hooks__logger__interval=1,
        )
        cfg.data_root = str(folder / 'elsewhere')
        cfg.dump(folder / f'{name}.py')
    (folder / 'grid.py').write_text(GRID)
    return folder


def _lab(folder, *arguments, work='work'):
    command = [folder / 'grid.py', '--data', folder / 'data']
    command += ['--work-dir', folder / work, *arguments]
    return [str(part) for part in command]


def _train(folder, *arguments, **kwargs):
    return subprocess.run(
        [warm_python(), str(TOOL), *_lab(folder, *arguments, **kwargs)],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope='module')
def trained(world):
    done = _train(world)
    return world, done


def _runs(folder, work='work'):
    record = json.loads((folder / work / 'results.json').read_text())
    return {(run['arm'], run['seed']): run for run in record['runs']}


def test_a_failed_run_does_not_stop_the_others(trained):
    folder, done = trained
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == '2 of 6 runs failed'
    runs = _runs(folder)
    assert len(runs) == 6
    for arm in ('labels_only', 'recipe'):
        for seed in (0, 1):
            run = runs[arm, seed]
            assert run['error'] == ''
            assert run['values']['mIoU'].keys() == {'2', '4'}
            assert run['seconds'] > 0
            assert run['environment']['torch'] == torch.__version__
            assert (folder / 'work' / run['path'] / 'iter_4.pth').is_file()
    error = runs['broken', 1]['error']
    assert error.startswith('failed with status 2: configs/broken/seed_1.py: train_dat')
    assert '{data}/none' in error
    assert 'traceback' not in error
    assert runs['broken', 1]['values'] == {}
    # On the screen as well, with a mark of its own.
    assert f'FAILED broken, seed 1: {error}' in done.stdout
    assert f'left out: broken, seed 0: {runs["broken", 0]["error"]}' in done.stdout


def test_the_table_has_the_gain(trained):
    folder, done = trained
    runs = _runs(folder)
    figures = {key: run['values'].get('mIoU', {}).get('4') for key, run in runs.items()}
    gains = [figures['recipe', seed] - figures['labels_only', seed] for seed in (0, 1)]
    (line,) = (
        line.split()
        for line in done.stdout.splitlines()
        if line.startswith('recipe') and ' student ' in line
    )
    assert float(line[5]) == pytest.approx(sum(gains) / 2, abs=0.006)
    assert line[-4:] == ['0:', f'{gains[0]:+.1f},', '1:', f'{gains[1]:+.1f}']
    # The EMA teacher that every FixMatch run here has is compared as well.
    assert any(' teacher ' in line for line in done.stdout.splitlines())


def test_runs_have_their_seed_and_the_arms_settings(trained):
    folder, _ = trained
    for arm, seed in (('recipe', 1), ('labels_only', 0)):
        (text,) = (folder / 'work' / arm / f'seed_{seed}').glob('*/vis_data/config.py')
        assert f'randomness = dict(seed={seed}, ' in text.read_text()
    assert 'burn_in=2' in (folder / 'work/configs/recipe/seed_0.py').read_text()


def test_what_is_finished_is_skipped_and_what_failed_is_tried_again(trained, capfd):
    folder, _ = trained
    files = sorted((folder / 'work/recipe').rglob('*.pth'))
    ages = [path.stat().st_mtime_ns for path in files]
    before = _runs(folder)
    assert run_command(s4_lab.main, _lab(folder)) == 1
    out = capfd.readouterr().out
    assert '6 runs, 4 finished before' in out
    assert out.count('FAILED broken') == 2
    assert [path.stat().st_mtime_ns for path in files] == ages
    after = _runs(folder)
    for key in [('recipe', 0), ('labels_only', 1)]:
        assert before[key] == after[key]
    assert run_command(s4_lab.main, _lab(folder, '--arms', 'recipe')) == 0
    # The runs of the other arms stay in the results.
    assert _runs(folder).keys() == before.keys()


def test_moved_data_are_the_same_run(trained, capfd):
    folder, _ = trained
    (folder / 'moved').symlink_to(folder / 'data')
    arguments = _lab(folder, '--arms', 'recipe')
    arguments[2] = str(folder / 'moved')
    assert run_command(s4_lab.main, arguments) == 0
    assert '4 runs, 4 finished before' in capfd.readouterr().out


def _refused(capfd, *arguments):
    assert run_command(s4_lab.main, [str(one) for one in arguments]) == 2
    error = capfd.readouterr().err
    assert error.count('\n') == 1, error
    return error


def test_other_settings_are_named_and_nothing_is_touched(trained, capfd, tmp_path):
    folder, _ = trained
    grid = folder / 'grid.py'
    before = _runs(folder)
    try:
        grid.write_text(GRID.replace("burn_in': 2", "burn_in': 3"))
        error = _refused(capfd, *_lab(folder))
    finally:
        grid.write_text(GRID)
    for seed in (0, 1):
        text = f'work/recipe/seed_{seed} was made with model.semi_train_cfg.burn_in=2, '
        assert text + 'now it is 3' in error
    assert 'labels_only' not in error
    assert 'remove these folders, or choose another --work-dir' in error
    assert _runs(folder) == before


def test_folders_of_others_are_left_alone(world, capfd):
    (world / 'mine/recipe/seed_0').mkdir(parents=True)
    error = _refused(capfd, *_lab(world, work='mine'))
    assert 'mine/recipe/seed_0 has no lab.json and is no run of a lab' in error


def test_bad_arguments(world, capfd):
    grid = world / 'grid.py'
    error = _refused(capfd, grid, '--data', '/nowhere')
    assert '--data /nowhere: there is no such folder' in error
    assert '--jobs 0, expected at least 1' in _refused(
        capfd, *_lab(world), '--jobs', '0'
    )
    error = _refused(capfd, *_lab(world), '--arms', 'other')
    assert "no arms ['other']; it has ['labels_only', 'recipe', 'broken']" in error
    error = _refused(capfd, *_lab(world), '--seeds', '1', '1')
    assert 'seeds=[1, 1], expected different integers' in error


def test_what_no_run_has_is_refused_before_the_first(world, capfd):
    nowhere = "config='supervised.py', options={'data_root': '{data}/none'}"
    text = GRID.replace("config='supervised.py'", nowhere)
    (world / 'nowhere.py').write_text(text)
    arguments = ['--data', world / 'data', '--work-dir', world / 'none']
    arguments += ['--arms', 'broken']
    error = _refused(capfd, world / 'nowhere.py', *arguments)
    assert f'none of 4 runs has what it needs; {world}/data/none: there is' in error
    assert not (world / 'none/results.json').exists()


def test_arms_that_cannot_be_compared_are_refused_before_the_first(world, capfd):
    text = GRID.replace("burn_in': 2}", "burn_in': 2, 'train_cfg.max_iters': 3}")
    (world / 'unequal.py').write_text(text)
    arguments = ['--data', world / 'data', '--work-dir', world / 'unequal']
    error = _refused(capfd, world / 'unequal.py', *arguments)
    assert 'recipe/seed_0 has max_iters=3, labels_only/seed_0 has 4' in error
    assert not (world / 'unequal/results.json').exists()


def test_one_lab_in_a_folder(world, capfd):
    from s5_mm.curation.work_dir import WorkDir

    with WorkDir(world / 'taken').lock():
        error = _refused(capfd, *_lab(world, work='taken'))
    assert 'another run works in this directory' in error


def _trainings(folder):
    """Process ids of trainings in a folder."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes().split(b'\0')
        except OSError:  # gone meanwhile
            continue
        if any(word.startswith(bytes(folder)) for word in words) and any(
            word.endswith(b'tools/train.py') for word in words
        ):
            found.append(int(path.parent.name))
    return found


def _wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope='module')
def longer(world):
    """A lab of 30 iterations that nothing stopped."""
    options = "options={'train_cfg.max_iters': 30, 'train_cfg.val_interval': 30}"
    (world / 'longer').mkdir()
    (world / 'longer/data').symlink_to(world / 'data')
    (world / 'longer/grid.py').write_text(
        f"""
seeds = [4]
baseline = 'labels_only'
arms = dict(
    labels_only=dict(config='{world}/supervised.py', {options}),
    recipe=dict(config='{world}/fixmatch.py', {options}),
)
"""
    )
    done = _train(world / 'longer', work='whole')
    assert done.returncode == 0, done.stderr
    return world / 'longer'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed(longer, number):
    work = longer / number.name
    logs = [work / arm / 'seed_4/train.log' for arm in ('labels_only', 'recipe')]
    process = subprocess.Popen(
        [warm_python(), str(TOOL), *_lab(longer, work=number.name)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_ctrl_c,
    )
    _wait_for(
        lambda: all(log.is_file() and 'Iter(train)' in log.read_text() for log in logs)
    )
    assert len(_trainings(work)) == 2
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=90)
    _wait_for(lambda: not _trainings(work))
    for log in logs:
        assert (log.parent / 'last_checkpoint').is_file()
        assert 'The same command with --resume goes on' in log.read_text()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert 'the same command goes on from here' in error.splitlines()[-1]
        runs = _runs(longer, number.name)
        assert {run['error'] for run in runs.values()} == {'unfinished'}

    done = _train(longer, work=number.name)
    assert done.returncode == 0, done.stderr
    for log in logs:
        # What was done before is not done again.
        assert log.read_text().count('Iter(train)') <= 31
    runs, whole = _runs(longer, number.name), _runs(longer, 'whole')
    assert {key: run['values'] for key, run in runs.items()} == {
        key: run['values'] for key, run in whole.items()
    }
