"""The commands of the Makefile: what they would do, and that they do it once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ('Makefile', 'setup.py', 'pyproject.toml', 'requirements', 'tools/misc')
needs_make = pytest.mark.skipif(
    shutil.which('make') is None, reason='make is not installed'
)


@pytest.fixture
def checkout(tmp_path):
    """What `make` looks at, in a folder of its own."""
    for name in INPUTS:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns('__pycache__')
            )
        else:
            shutil.copy2(source, target)
    return tmp_path


def make(checkout, *arguments, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith('MAKE')}
    return subprocess.run(
        ['make', *arguments],
        cwd=checkout,
        env={**clean, **env},
        text=True,
        capture_output=True,
    )


def stamps(checkout, level):
    """Let `make` believe that a level was installed just now."""
    out = make(checkout, '-n', 'lint', 'demo', 'ops', 'docs').stdout
    found = [word for word in out.split() if f'.s5_mm-{level}-' in word]
    stamp = checkout / found[0]
    stamp.parent.mkdir(exist_ok=True)
    stamp.touch()


@needs_make
@pytest.mark.parametrize(
    ('goal', 'level', 'command'),
    [
        ('environment', 'environment', ''),
        ('demo', 'environment', 'tools/demo.py'),
        ('detection', 'detection', ''),
        ('test', 'tests', '-m pytest -n 2'),
        ('lint', 'tests', 'ruff check .'),
        ('types', 'tests', '-m mypy'),
        ('docstrings', 'tests', 'interrogate'),
        ('links', 'environment', 'check_links.py'),
        ('docs', 'docs', '-m sphinx -W'),
        ('wheel-check', 'tests', 'check_wheel.py'),
        ('check-env', 'environment', 'check_env.py'),
        ('ops', 'detection', 'build_ops.py'),
    ],
)
def test_goal_installs_first_and_only_once(checkout, goal, level, command):
    first = make(checkout, '-n', goal).stdout
    assert f'make_venv.sh .venv {level} ' in first
    assert command in first
    stamps(checkout, level)
    again = make(checkout, '-n', goal).stdout
    assert 'make_venv.sh' not in again
    assert command in again


@needs_make
@pytest.mark.parametrize('goal', ['demo', 'detection', 'test'])
def test_nothing_waits_for_a_compiler(checkout, goal):
    assert 'build_ops' not in make(checkout, '-n', goal).stdout


@needs_make
def test_changed_requirements_install_anew(checkout):
    stamps(checkout, 'environment')
    later = (checkout / 'setup.py').stat().st_mtime + 1e6
    os.utime(checkout / 'requirements' / 'constraints.txt', (later, later))
    assert 'make_venv.sh' in make(checkout, '-n', 'demo').stdout


@needs_make
def test_moved_checkout_installs_anew(checkout):
    """The editable package names the folder it was installed from."""
    stamps(checkout, 'environment')
    moved = checkout.with_name('moved')
    checkout.rename(moved)
    assert 'make_venv.sh' in make(moved, '-n', 'demo').stdout


@needs_make
def test_help_lists_every_goal():
    listed = make(ROOT, 'help').stdout
    for goal in (
        'demo',
        'test',
        'docs',
        'links',
        'detection',
        'ops',
        'check-env',
        'clean',
    ):
        assert f'\n{goal} ' in f'\n{listed}'


def venv(checkout, **env):
    stamp = checkout / '.venv' / '.s5_mm-tests-1'
    done = subprocess.run(
        ['bash', 'tools/misc/make_venv.sh', '.venv', 'tests', str(stamp)],
        cwd=checkout,
        env={**os.environ, **env},
        text=True,
        capture_output=True,
    )
    return done, stamp


def fake_python(folder, name='fake-python', pip='exit 0'):
    """A stand-in that makes a `venv` of scripts and installs nothing."""
    folder.mkdir(exist_ok=True)
    inner = f'#!/bin/bash\necho "$@" >> "$LOG"\ncase "$*" in *"-m pip"*) {pip};; esac\n'
    script = (
        '#!/bin/bash\n'
        'case "$*" in\n'
        '  --version) echo Python 3.11.0;;\n'
        '  "-m venv "*) mkdir -p "$3/bin"\n'
        f'    cat > "$3/bin/python" <<\'INNER\'\n{inner}INNER\n'
        '    chmod +x "$3/bin/python";;\n'
        'esac\n'
    )
    path = folder / name
    path.write_text(script)
    path.chmod(0o755)
    return path


def test_python_that_does_not_run_is_passed_over(checkout, tmp_path):
    """A pyenv shim named python3.12 exists and fails: the next candidate serves."""
    bin_dir = tmp_path / 'bin'
    fake_python(bin_dir, 'python3.11')
    shim = bin_dir / 'python3.12'
    shim.write_text('#!/bin/bash\nexit 127\n')
    shim.chmod(0o755)
    log = tmp_path / 'log'
    path = f'{bin_dir}{os.pathsep}{os.environ["PATH"]}'
    done, stamp = venv(checkout, PATH=path, LOG=str(log), PYTHON='')
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'({bin_dir}/python3.11)' in done.stdout
    # What holds the tests also holds the rest.
    names = sorted(path.name for path in stamp.parent.glob('.s5_mm-*'))
    assert names == [f'.s5_mm-{x}-1' for x in ('detection', 'environment', 'tests')]
    assert not (checkout / '.venv' / '.unfinished').exists()
    assert '-c' in log.read_text()
    assert 'constraints-det.txt' in log.read_text()


def test_named_python_that_is_no_good_is_an_error(checkout):
    done, stamp = venv(checkout, PYTHON='/nowhere/python3.12')
    assert done.returncode != 0
    assert 'PYTHON=/nowhere/python3.12: no Python 3.10-3.13' in done.stderr
    assert not stamp.exists()


def test_half_finished_installation_is_redone(checkout, tmp_path):
    log = tmp_path / 'log'
    failing = fake_python(tmp_path / 'bin', pip='exit 1')
    done, stamp = venv(checkout, PYTHON=str(failing), LOG=str(log))
    assert done.returncode != 0
    assert not stamp.exists()
    (checkout / '.venv' / 'left-over').touch()
    working = fake_python(tmp_path / 'bin', 'works')
    done, stamp = venv(checkout, PYTHON=str(working), LOG=str(log))
    assert done.returncode == 0, done.stderr
    assert 'was cut off: starting afresh' in done.stdout
    assert not (checkout / '.venv' / 'left-over').exists()
    assert stamp.exists()


def test_unknown_level_is_an_error(checkout):
    done = subprocess.run(
        ['bash', 'tools/misc/make_venv.sh', '.venv', 'everything', 'x'],
        cwd=checkout,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 2
    assert (
        "level is 'everything'; allowed: environment, detection, tests" in done.stderr
    )
