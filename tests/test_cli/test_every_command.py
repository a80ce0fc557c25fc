"""Every command refuses what it cannot do in one line, with status 2."""

import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from s5_mm.cli.command import run_command

ROOT = Path(__file__).parents[2]
NOWHERE = '/nowhere/at_all'
CONFIG = f'{NOWHERE}.py'
ANALYSIS = 'tools/analysis_tools/'
_CONVERTERS = (
    *('diorr', 'dotav2', 'isaid', 'loveda', 'millionaid', 'openearthmap'),
    *('potsdam', 'samrs', 'star', 'vaihingen'),
)
#: Command -> arguments that it refuses, after it has understood them where it can.
REFUSED = {
    'data_curation/curate.py': ['run', CONFIG, '--work-dir', 'WORK'],
    **{
        f'tools/benchmarks/benchmark_{name}.py': arguments
        for name, arguments in {
            'dataloader': [CONFIG, '--names', '10'],
            'operators': ['--config', CONFIG],
            'slide': ['--arch', 'huge'],
            'step': ['--arch', 'huge'],
        }.items()
    },
    f'{ANALYSIS}browse_dataset.py': [CONFIG],
    f'{ANALYSIS}compare_runs.py': ['--runs', f'a={NOWHERE}'],
    f'{ANALYSIS}get_flops.py': [CONFIG],
    f'{ANALYSIS}get_params.py': [CONFIG],
    f'{ANALYSIS}paired_gain.py': [NOWHERE],
    f'{ANALYSIS}plot_runs.py': ['--runs', f'a={NOWHERE}', '--out', 'WORK/a.png'],
    f'{ANALYSIS}s4_lab.py': [CONFIG, '--data', 'WORK'],
    f'{ANALYSIS}show_quality.py': [NOWHERE, '--out', 'WORK/a.png'],
    **{
        f'tools/dataset_converters/{name}.py': [NOWHERE, 'WORK'] for name in _CONVERTERS
    },
    'tools/dataset_converters/dota_split.py': ['WORK', '--src', NOWHERE],
    'tools/demo.py': ['--work-dir', 'WORK', '--fresh'],
    'tools/misc/build_ops.py': ['--device', 'tpu'],
    'tools/misc/check_env.py': ['--task', 'poetry'],
    'tools/misc/check_figures.py': ['everything'],
    'tools/misc/check_links.py': ['everything'],
    'tools/misc/check_resume.py': [CONFIG, '--work-dir', 'WORK'],
    'tools/misc/check_wheel.py': [f'{NOWHERE}.whl'],
    'tools/misc/model_zoo.py': ['everything'],
    'tools/misc/s4_pool.py': ['WORK/pool', '--data', NOWHERE],
    'tools/misc/s4_splits.py': [
        NOWHERE,
        *['--classes', 'a', 'b', '--labelled', '1', '--out', 'WORK'],
    ],
    'tools/misc/verify_dataset.py': [CONFIG],
    'tools/model_converters/convert_checkpoint.py': [f'{NOWHERE}.pth', 'WORK/a.pth'],
    'tools/model_converters/fold_experts.py': [CONFIG, f'{NOWHERE}.pth', 'WORK'],
    'tools/new_dataset.py': [NOWHERE],
    'tools/segment_raster.py': [CONFIG, 'a.pth', 'a.tif', 'WORK/b.tif'],
    'tools/test.py': [CONFIG, 'a.pth'],
    'tools/train.py': [CONFIG],
}
#: All files that can be run.
COMMANDS = sorted(
    str(path.relative_to(ROOT))
    for folder in ('tools', 'data_curation')
    for path in (ROOT / folder).rglob('*.py')
    if "if __name__ == '__main__':" in path.read_text(encoding='utf-8')
)


@cache
def _main(command):
    return import_module(command[:-3].replace('/', '.')).main


def test_every_command_is_here():
    assert len(COMMANDS) >= 38
    assert set(REFUSED) == set(COMMANDS)


@pytest.mark.parametrize('command', COMMANDS)
def test_refusal_is_one_line(command, tmp_path, capfd):
    # The demo only removes what is its own.
    (tmp_path / 'mine.txt').touch()
    arguments = [text.replace('WORK', str(tmp_path)) for text in REFUSED[command]]
    status = run_command(_main(command), arguments)
    error = capfd.readouterr().err
    assert (status, error.count('\n')) == (2, 1), error
    assert error.startswith(f'{Path(command).name}: '), error
    # What is wrong is named: a file or an argument.
    wrong = [text for text in arguments if text.strip('-').split('=')[-1] in error]
    assert wrong, error


@pytest.mark.parametrize('command', COMMANDS)
def test_unknown_argument_is_one_line(command, capfd):
    arguments = ['--no-such-argument', '--traceback']
    assert run_command(_main(command), arguments) == 2
    error = capfd.readouterr().err
    assert error.count('\n') == 1, error
    assert error.startswith(f'{Path(command).name}: '), error
    assert f'{Path(command).name} --help lists the arguments' in error
    assert run_command(_main(command), ['--help']) == 0
    assert '--traceback' in capfd.readouterr().out


@pytest.mark.parametrize('command', ['tools/train.py', 'tools/misc/check_env.py'])
def test_as_processes(command):
    done = subprocess.run(
        [sys.executable, ROOT / command, *REFUSED[command]],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.count('\n') == 1
    assert done.stderr.startswith(f'{Path(command).name}: ')
