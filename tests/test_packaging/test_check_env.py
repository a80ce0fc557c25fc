"""The command check_env: its table, its verdict, and that it needs nothing."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

import check_env
from env_checks import Line
from env_pieces import PIECES

ROOT = Path(__file__).resolve().parents[2]


def test_runs_with_nothing_installed(tmp_path):
    """In an empty environment every line is there, and the exit status is 1."""
    venv.create(tmp_path / 'empty', symlinks=True)
    done = subprocess.run(
        [tmp_path / 'empty/bin/python', ROOT / 'tools/misc/check_env.py'],
        cwd=ROOT,
        text=True,
        capture_output=True,
        env={'PATH': '/usr/bin:/bin'},
    )
    assert done.returncode == 1, done.stderr
    assert 'Traceback' not in done.stderr
    for module in ('numpy', 'torch', 'mmseg', 's5_mm'):
        assert f'\n{module} ' in done.stdout
    assert done.stdout.count('mend:') == len(PIECES)


def test_verdict_and_table():
    lines = [
        Line('torch', 'missing', 'torch', 'pip install torch', needed=True),
        Line('mmdet', 'missing', 'x', 'pip install y', needed=False),
        Line('numpy', 'ok', '2.2.6', needed=True),
    ]
    full = check_env.render(lines, problems_only=False)
    assert '(missing)' in full
    assert 'numpy' in full
    short = check_env.render(lines, problems_only=True)
    assert short.splitlines() == [
        'torch        missing    torch',
        '             mend:      pip install torch',
    ]


def test_unknown_task_is_refused(capsys):
    with pytest.raises(SystemExit):
        check_env.main(['--task', 'flying'])
    assert "invalid choice: 'flying'" in capsys.readouterr().err


def test_help_needs_nothing_but_the_standard_library():
    """``-I`` leaves the folder of the command off the path, with what it imports."""
    done = subprocess.run(
        [sys.executable, '-I', '-S', check_env.__file__, '--help'],
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert '--problems-only' in done.stdout
