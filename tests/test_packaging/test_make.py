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
    out = make(checkout, '-n', 'lint', 'demo', 'ops').stdout
    found = [word for word in out.split() if f'.s5_mm-{level}-' in word]
    stamp = checkout / found[0]
    stamp.parent.mkdir(exist_ok=True)
    stamp.touch()


@needs_make
@pytest.mark.parametrize(
    ('goal', 'level', 'command'),
    [
        ('environment', 'demo', ''),
        ('demo', 'demo', 'tools/demo.py'),
        ('test', 'tests', '-m pytest -n 2'),
        ('lint', 'tests', 'ruff check .'),
        ('docstrings', 'tests', 'interrogate'),
        ('wheel-check', 'tests', 'check_wheel.py'),
        ('ops', 'det', 'build_ops.py'),
        ('wheelhouse', 'demo', 'wheelhouse.py --python 3.11 --torch 2.15'),
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
def test_demo_compiles_nothing(checkout):
    assert 'build_ops' not in make(checkout, '-n', 'demo').stdout


@needs_make
def test_changed_requirements_install_anew(checkout):
    stamps(checkout, 'demo')
    later = (checkout / 'setup.py').stat().st_mtime + 1e6
    os.utime(checkout / 'requirements' / 'constraints.txt', (later, later))
    assert 'make_venv.sh' in make(checkout, '-n', 'demo').stdout


@needs_make
def test_moved_checkout_installs_anew(checkout):
    """The editable package names the folder it was installed from."""
    stamps(checkout, 'demo')
    moved = checkout.with_name('moved')
    checkout.rename(moved)
    assert 'make_venv.sh' in make(moved, '-n', 'demo').stdout


@needs_make
def test_help_lists_every_goal():
    listed = make(ROOT, 'help').stdout
    for goal in ('demo', 'test', 'ops', 'wheelhouse', 'check-env', 'clean'):
        assert f'\n{goal} ' in f'\n{listed}'


def venv(checkout, **env):
    stamp = checkout / '.venv' / '.s5_mm-demo-1'
    done = subprocess.run(
        ['bash', 'tools/misc/make_venv.sh', '.venv', 'demo', str(stamp)],
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
    assert stamp.exists()
    assert not (checkout / '.venv' / '.unfinished').exists()


def test_named_python_that_is_no_good_is_an_error(checkout):
    done, stamp = venv(checkout, PYTHON='/nowhere/python3.12')
    assert done.returncode != 0
    assert 'PYTHON=/nowhere/python3.12 does not run' in done.stderr
    assert not stamp.exists()


def test_silent_installation_says_that_it_is_at_work(checkout, tmp_path):
    """pip waits here for the line; `sleep` and `du` are stand-ins without a wait."""
    bin_dir, go = tmp_path / 'bin', tmp_path / 'go'
    python = fake_python(bin_dir, pip='until [ -e "$GO" ]; do /bin/sleep 0.01; done')
    for name, line in (('sleep', '/bin/sleep 0.01'), ('du', 'touch "$GO"; echo 7')):
        (bin_dir / name).write_text(f'#!/bin/bash\n{line}\n')
        (bin_dir / name).chmod(0o755)
    path = f'{bin_dir}{os.pathsep}{os.environ["PATH"]}'
    log = str(tmp_path / 'log')
    done, _ = venv(checkout, PATH=path, LOG=log, GO=str(go), PYTHON=str(python))
    assert done.returncode == 0, done.stderr
    assert 'at work, 7 MB in .venv so far' in done.stdout
    assert '.venv is ready' in done.stdout
    assert done.stderr == ''


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
    assert "level is 'everything'; allowed: demo, det, tests" in done.stderr
