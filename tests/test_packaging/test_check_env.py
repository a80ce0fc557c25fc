"""check_env names what is missing and the line that mends it."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

import check_env

ROOT = Path(__file__).resolve().parents[2]
PIECES = {piece.module: piece for piece in check_env.PIECES}
IMPORTS = {'error': None, 'where': '/x/s5_mm/__init__.py', 'extra': {'cuda': '13.2'}}


@pytest.fixture
def versions(monkeypatch):
    """Stand-in for what is installed: name to version."""
    installed = {
        'torch': '2.15.0',
        'torchvision': '0.29.2',
        'onedl-mmcv': '2.3.6',
        'onedl-mmengine': '0.10.12',
        'opencv-python-headless': '4.12.0.88',
        's5_mm': '0.1.0',
    }
    monkeypatch.setattr(check_env, 'version_of', installed.get)
    return installed


def judge(module, error=None, task='seg'):
    found = {**IMPORTS, 'error': error}
    torch = check_env.version_of('torch')
    return check_env.check_piece(PIECES[module], found, task, torch)


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
    assert done.stdout.count('mend:') == len(check_env.PIECES)


def test_missing_package(versions):
    del versions['onedl-mmengine']
    line = judge('mmengine', "ModuleNotFoundError: No module named 'mmengine'")
    assert (line.state, line.needed) == ('missing', True)
    assert 'constraints-no-torch.txt' in line.mend  # the torch that is there stays
    assert line.mend.endswith('"onedl-mmengine>=0.10.12"')


def test_missing_torch_takes_the_whole_lock(versions):
    del versions['torch']
    line = judge('torch', "ModuleNotFoundError: No module named 'torch'")
    assert line.mend.endswith('requirements/constraints.txt torch torchvision')


def test_ops_are_needed_by_detection_alone(versions):
    error = "ModuleNotFoundError: No module named 'mmcv._ext'"
    for task, needed in (('seg', False), ('det', True)):
        line = judge('mmcv._ext', error, task)
        assert (line.state, line.needed) == ('missing', needed)
        assert line.mend.endswith('build_ops.py')
    assert judge('mmcv._ext', None, 'det').state == 'ok'


def test_old_package(versions):
    versions['onedl-mmcv'] = '2.2.0'
    line = judge('mmcv')
    assert line.state == 'old'
    assert '2.2.0, needed >= 2.3.4' in line.text
    assert '"onedl-mmcv>=2.3.4"' in line.mend


@pytest.mark.parametrize(
    ('torch', 'wanted'),
    [
        ('2.15.0+cu132', 'torchvision==0.29.2'),
        ('2.14.1', 'torchvision==0.29.1'),
        ('2.11.0+cu128', 'torchvision==0.26.*'),
        ('2.5.1', 'torchvision==0.20.*'),
    ],
)
def test_torchvision_that_does_not_fit(versions, torch, wanted):
    versions['torch'] = torch
    line = judge(
        'torchvision', 'RuntimeError: operator torchvision::nms does not exist'
    )
    assert line.state == 'broken'
    assert f'"{wanted}"' in line.mend
    assert '--no-deps' in line.mend


def test_torchvision_beside_cpu_torch(versions):
    versions['torch'] = '2.13.0+cpu'
    line = judge('torchvision', 'OSError: libcudart.so: cannot open')
    assert '--index-url https://download.pytorch.org/whl/cpu' in line.mend


def test_gui_opencv(versions, tmp_path, monkeypatch):
    (tmp_path / 'cv2').mkdir()
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    version_py = tmp_path / 'cv2' / 'version.py'
    version_py.write_text('headless = False\n')
    assert check_env.cv2_is_headless() is False
    broken = judge('cv2', 'ImportError: libGL.so.1: cannot open shared object file')
    assert broken.state == 'broken'
    assert '--force-reinstall --no-deps opencv-python-headless' in broken.mend
    works_here = judge('cv2')
    assert works_here.state == 'ok'
    assert 'GUI' in works_here.text
    assert 'opencv-python-headless' in works_here.mend
    version_py.write_text('headless = True\n')
    assert check_env.cv2_is_headless() is True
    assert judge('cv2').mend == ''


def test_old_openmmlab_packages_are_a_conflict(versions):
    versions['mmsegmentation'] = '1.2.2'
    (line,) = check_env.check_rivals()
    assert (line.state, line.needed) == ('conflict', True)
    assert 'uninstall -y mmsegmentation onedl-mmsegmentation && ' in line.mend
    assert line.mend.endswith('onedl-mmsegmentation')


def test_crash_of_one_import_leaves_the_others(tmp_path, monkeypatch):
    (tmp_path / 'crashes.py').write_text('import os; os.abort()')
    (tmp_path / 'prints.py').write_text('print("5")\nprint("{broken")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    found = check_env.probe(['json', 'crashes', 'prints', 'nowhere'])
    assert found['json']['error'] is None
    assert 'the interpreter ended' in found['crashes']['error']
    assert found['prints']['error'] is None
    assert "No module named 'nowhere'" in found['nowhere']['error']


def test_checkout_in_the_working_folder_does_not_count(tmp_path, monkeypatch):
    (tmp_path / 'shadow_of_cwd.py').write_text('')
    monkeypatch.chdir(tmp_path)
    assert check_env.probe(['shadow_of_cwd'])['shadow_of_cwd']['error']


def test_verdict_and_table():
    lines = [
        check_env.Line('torch', 'missing', 'torch', 'pip install torch', needed=True),
        check_env.Line('mmdet', 'missing', 'x', 'pip install y', needed=False),
        check_env.Line('numpy', 'ok', '2.2.6', needed=True),
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
