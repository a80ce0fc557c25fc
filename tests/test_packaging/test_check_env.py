"""The command check_env: every piece is judged, and what is wrong has its remedy."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tools.misc import check_env
from tools.misc.check_env import PIECES, Line, judge

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
        assert f'{module} ' in done.stdout
    # Operators are not missing where mmcv is: those of s5_mm stand in.
    assert done.stdout.count('mend:') == len(PIECES) - 1


def test_an_import_that_ends_the_interpreter_is_reported(monkeypatch):
    pieces = {name: (name, check_env.TASKS) for name in ('json', 'killer', 'csv')}
    monkeypatch.setattr(check_env, 'PIECES', pieces)
    kill = "import os; name == 'killer' and os._exit(7)\n    try:"
    monkeypatch.setattr(check_env, 'PROBE', check_env.PROBE.replace('try:', kill))
    found = check_env.probe()
    assert found['json'] == found['csv'] == ('', '')
    assert found['killer'] == ('the interpreter ended with status 7', '')


def test_table_and_verdict(monkeypatch, capsys):
    lines = [
        Line('torch', 'missing', 'torch', 'pip install torch', needed=True),
        Line('mmdet', 'missing', 'x', 'pip install y', needed=False),
        Line('numpy', 'ok', '2.2.6', needed=True),
    ]
    full = check_env.render(lines)
    assert '(missing)' in full
    assert 'numpy' in full
    short = check_env.render(lines, problems_only=True)
    assert short.splitlines() == [
        'torch        missing    torch',
        '             mend:      pip install torch',
    ]
    monkeypatch.setattr(check_env, 'probe', lambda: dict.fromkeys(PIECES, ('', '')))
    monkeypatch.setattr(check_env, 'version_of', lambda name: None)
    monkeypatch.setattr(check_env, 'floors', dict)
    assert check_env.main([]) == 0
    assert capsys.readouterr().out.endswith('task seg: all there\n')
    gone = {**dict.fromkeys(PIECES, ('', '')), 'mmdet': ('ImportError: no', '')}
    monkeypatch.setattr(check_env, 'probe', lambda: gone)
    assert check_env.main([]) == 0
    assert check_env.main(['--task', 'det']) == 1
    assert capsys.readouterr().out.endswith('task det: missing for det: mmdet\n')


def test_missing_and_old_packages(versions):
    del versions['onedl-mmengine']
    line = judge(
        'mmengine', "ModuleNotFoundError: No module named 'mmengine'", '', 'seg'
    )
    assert (line.state, line.needed) == ('missing', True)
    assert 'constraints-no-torch.txt' in line.mend  # the torch that is there stays
    assert line.mend.endswith('"onedl-mmengine>=0.10.12"')
    line = judge('mmrotate', 'ModuleNotFoundError: No module', '', 'det')
    assert 'constraints-det-no-torch.txt' in line.mend
    versions['onedl-mmcv'] = '2.2.0'
    line = judge('mmcv', '', '', 'seg')
    assert (line.state, line.text) == ('old', '2.2.0, needed >= 2.3.4')
    assert '"onedl-mmcv>=2.3.4"' in line.mend


def test_operators_are_never_missing_and_may_be_broken(versions):
    error = "ModuleNotFoundError: No module named 'mmcv._ext'"
    line = judge('mmcv._ext', error, '', 'det')
    assert (line.state, line.needed) == ('-', False)
    assert 'those of s5_mm' in line.text
    assert judge('mmcv._ext', '', '', 'det').text == 'compiled'
    line = judge('mmcv._ext', 'ImportError: undefined symbol: _ZN2at', '', 'det')
    assert (line.state, line.needed) == ('broken', True)
    assert line.mend.endswith('build_ops.py --force')


@pytest.mark.parametrize(
    ('torch', 'wanted'),
    [
        ('2.15.0+cu132', 'torchvision==0.29.2'),
        ('2.14.1', 'torchvision==0.29.1'),
        ('2.11.0+cu128', 'torchvision==0.26.*'),
        ('2.5.1+cpu', 'torchvision==0.20.*'),
    ],
)
def test_torchvision_that_does_not_fit(versions, torch, wanted):
    versions['torch'] = torch
    error = 'RuntimeError: operator torchvision::nms does not exist'
    line = judge('torchvision', error, '', 'seg')
    assert line.state == 'broken'
    assert f'"{wanted}"' in line.mend
    assert '--no-deps' in line.mend
    assert ('--index-url' in line.mend) == ('+cpu' in torch)


def test_opencv_that_does_not_load_everywhere(versions):
    remedy = '--force-reinstall --no-deps opencv-python-headless'
    error = 'ImportError: libGL.so.1: cannot open shared object file'
    broken = judge('cv2', error, '', 'seg')
    assert broken.state == 'broken'
    assert remedy in broken.mend
    works_here = judge('cv2', '', 'GUI', 'seg')
    assert works_here.state == 'ok'
    assert 'libGL' in works_here.text
    assert remedy in works_here.mend
    assert judge('cv2', '', 'headless', 'seg').mend == ''


def test_old_openmmlab_packages_are_a_conflict(versions):
    versions['mmsegmentation'] = '1.2.2'
    (line,) = check_env.rivals()
    assert (line.state, line.needed) == ('conflict', True)
    assert 'uninstall -y mmsegmentation onedl-mmsegmentation && ' in line.mend
    assert line.mend.endswith('onedl-mmsegmentation')


@pytest.mark.parametrize(('version', 'state'), [((3, 9), 'broken'), ((3, 13), 'ok')])
def test_python(monkeypatch, version, state):
    monkeypatch.setattr(sys, 'version_info', version)
    assert check_env.machine()[0].state == state


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
