"""The command that prints gains, over work directories and results of labs."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from s5_mm.cli.command import run_command
from s5_mm.lab import Results, read_run
from tools.analysis_tools import paired_gain

from ..support.warm_python import warm_python

FOLDER = Path(__file__).parents[2] / 'tools/analysis_tools'

CONFIG = """
randomness = dict(seed={seed})
train_cfg = dict(max_iters={length})
train_dataloader = dict(dataset=dict(type='Both', sources=dict(
    sup=dict(data_root='{root}/harbours/', ann_file='/x/hrsc/seed{seed}/5.txt'),
    unsup=dict(data_root='{root}/harbours/'))))
val_dataloader = dict(dataset=dict(
    data_root='{root}/harbours', data_prefix=dict(img_path='val', seg_map_path='m')))
"""


@pytest.fixture
def work(tmp_path):
    """Write the folder of a run as mmengine leaves it, validated at 2 and 4."""

    def work(name, seed, figures, length=4, root='data', started='1', **more):
        folder = tmp_path / name / started / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'config.py').write_text(
            CONFIG.format(seed=seed, length=length, root=root)
        )
        lines = [dict(loss=1.0, iter=step, step=step) for step in (1, 2, 3)]
        for step, figure in zip((2, 4), figures, strict=False):
            record = dict(mIoU=figure, data_time=0.1, time=0.2, step=step, **more)
            lines.append(record)
        text = '\n'.join(map(json.dumps, lines))
        (folder / 'scalars.json').write_text(text)
        return str(tmp_path / name)

    return work


@pytest.fixture
def arms(work):
    labels = [work(f'l{seed}', seed, [30, 40 + seed]) for seed in (0, 1)]
    recipe = [
        work(f'r{seed}', seed, [60, 45 + 2 * seed], root='/other') for seed in (0, 1)
    ]
    return [f'labels={",".join(labels)}', f'recipe={",".join(recipe)}']


def test_what_is_read_of_a_run(work):
    path = work('one', 7, [10, 12], **{'IoU/ship': 3.0})
    run = read_run(path, 'recipe')
    assert run.values == {'mIoU': {2: 10, 4: 12}, 'IoU/ship': {2: 3.0, 4: 3.0}}
    assert (run.seed, run.max_iters) == (7, 4)
    # The data set, not where it is.
    assert (run.split, run.test_set) == ('harbours hrsc/seed7/5.txt', 'harbours val m')


def test_a_resumed_run_is_one_run(work):
    work('one', 7, [10], started='1')
    path = work('one', 7, [11, 12], started='2')
    assert read_run(path, 'recipe').values['mIoU'] == {2: 11, 4: 12}


def test_as_a_process(arms):
    done = subprocess.run(
        [warm_python(), FOLDER / 'paired_gain.py', '--runs', *arms],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [' '.join(line.split()) for line in done.stdout.splitlines()]
    assert lines[1].startswith('labels 2 40.50 40.50 – ')
    # Differences 5 and 6: 5.5 +- 12.706 * 0.7071 / sqrt(2).
    gain = '+5.50 -0.85 to +11.85 0.71 2 of 2 0: +5.0, 1: +6.0'
    assert lines[2] == f'recipe 2 46.00 60.00 {gain}'


def test_another_baseline_and_level(arms, capsys):
    arguments = ['--runs', *arms, '--baseline', 'recipe', '--level', '0.5']
    assert run_command(paired_gain.main, arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert '50 % interval' in lines[0]
    # t(0.75; 1) = 1.
    assert '-5.50  -6.00 to -5.00' in lines[1]


def test_json_of_a_lab(arms, tmp_path, capsys):
    runs = [text.partition('=')[::2] for text in arms]
    found = {
        name: [read_run(p, name) for p in paths.split(',')] for name, paths in runs
    }
    lab = Results('harbours', {'recipe': 'labels'}, found)
    file = lab.write(tmp_path)
    for path in (tmp_path, file):
        assert run_command(paired_gain.main, [str(path), '--json']) == 0
        (record,) = json.loads(capsys.readouterr().out)
        assert record['grid'] == 'harbours'
        gain = record['gains'][1]
        assert gain['difference']['differences'] == [5.0, 6.0]
        assert (gain['n'], gain['difference']['positive']) == (2, 2)
        assert (gain['arm'], gain['against']) == ('recipe', 'labels')


def test_markdown_has_every_run(arms, work, tmp_path, capsys):
    cut = work('cut', 2, [50])
    arguments = ['--runs', *arms[:1], f'{arms[1]},{cut}', '--markdown']
    assert run_command(paired_gain.main, arguments) == 0
    text = capsys.readouterr().out
    problem = 'unfinished, validated at 2 of 4 iterations'
    assert f'* left out: recipe, seed 2: {problem} ({cut})' in text
    assert f'| recipe | 2 | 50.00 | 50.00 (2) | – | {problem} |' in text
    assert text.count('| recipe |') == 4
    assert '| labels | 0 | 40.00 | 40.00 (4) | – | – |' in text


def test_into_a_file(arms, tmp_path, capsys):
    found = {
        text.partition('=')[0]: [
            replace(read_run(path, text.partition('=')[0]), environment={'torch': '9'})
            for path in text.partition('=')[2].split(',')
        ]
        for text in arms
    }
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
        Results(name, {'recipe': 'labels'}, found).write(tmp_path / name)
    file = tmp_path / 'page.md'
    arguments = [str(tmp_path / name) for name in ('one', 'two')]
    arguments += ['--markdown', '--out', str(file)]
    assert run_command(paired_gain.main, arguments) == 0
    assert capsys.readouterr().out == ''
    lines = file.read_text().splitlines()
    assert [line for line in lines if line.startswith('#')] == [
        '# Gains over paired runs',
        '## one',
        '## two',
    ]
    assert lines.count('4 runs: torch 9.') == 2


def _refused(capsys, *arguments):
    assert run_command(paired_gain.main, list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    return error


def test_what_is_refused(arms, work, tmp_path, capsys):
    error = _refused(capsys, '--runs', *arms, f'other={work("o", 0, [1, 2], 9)}')
    assert 'o has max_iters=9, ' in error
    error = _refused(capsys, '--runs', *arms, '--baseline', 'none')
    assert "no arms ['none'] to compare with, found ['labels', 'recipe']" in error
    error = _refused(capsys, '--runs', *arms, '--metric', 'AP')
    assert "no run has the metric 'AP'" in error
    error = _refused(capsys, '--runs', *arms, '--level', '95')
    assert 'level=95, expected a probability' in error
    assert 'expected either LABs or --runs' in _refused(capsys)
    assert 'either LABs or' in _refused(capsys, str(tmp_path), '--runs', *arms)
    assert 'results.json: no such file' in _refused(capsys, str(tmp_path))
    error = _refused(capsys, '--runs', *arms, arms[0])
    assert '--runs: labels occurs twice, expected all runs of an arm behind' in error
    for text, problem in (
        ('[]', 'AttributeError'),
        ('{', 'JSONDecodeError'),
        ('{"grid": "a"}', 'no against, runs'),
        ('{"grid": "a", "against": {}, "runs": [{"values": {}}]}', 'TypeError'),
    ):
        (tmp_path / 'results.json').write_text(text)
        error = _refused(capsys, str(tmp_path))
        assert problem in error
        assert 'expected is the results.json that s4_lab.py writes' in error


def test_folders_that_are_no_runs(work, tmp_path, capsys):
    path = work('one', 0, [1, 2])
    (tmp_path / 'one/1/vis_data/config.py').unlink()
    assert 'one: no vis_data/config.py' in _refused(capsys, '--runs', f'a={path}')
    assert 'no scalars.json there' in _refused(capsys, '--runs', 'a=/nowhere')
