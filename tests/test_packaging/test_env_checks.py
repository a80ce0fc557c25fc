"""Every package is judged, and what is wrong has the line that mends it."""

import sys

import pytest

import env_checks
from env_pieces import PIECES, version_of

PIECE = {piece.module: piece for piece in PIECES}
IMPORTS = {'error': None, 'where': '/x/s5_mm/__init__.py', 'extra': {'cuda': '13.2'}}


def judge(module, error=None, task='seg'):
    found = {**IMPORTS, 'error': error}
    torch = version_of('torch')
    return env_checks.check_piece(PIECE[module], found, task, torch)


def test_missing_package(versions):
    del versions['onedl-mmengine']
    line = judge('mmengine', "ModuleNotFoundError: No module named 'mmengine'")
    assert (line.state, line.needed) == ('missing', True)
    assert 'constraints-no-torch.txt' in line.mend  # the torch that is there stays
    assert line.mend.endswith('"onedl-mmengine>=0.10.12"')


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


def test_gui_opencv(versions, tmp_path, monkeypatch):
    (tmp_path / 'cv2').mkdir()
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    version_py = tmp_path / 'cv2' / 'version.py'
    version_py.write_text('headless = False\n')
    assert env_checks.cv2_is_headless() is False
    broken = judge('cv2', 'ImportError: libGL.so.1: cannot open shared object file')
    assert broken.state == 'broken'
    assert '--force-reinstall --no-deps opencv-python-headless' in broken.mend
    works_here = judge('cv2')
    assert works_here.state == 'ok'
    assert 'GUI' in works_here.text
    assert 'opencv-python-headless' in works_here.mend
    version_py.write_text('headless = True\n')
    assert env_checks.cv2_is_headless() is True
    assert judge('cv2').mend == ''


def test_old_openmmlab_packages_are_a_conflict(versions):
    versions['mmsegmentation'] = '1.2.2'
    (line,) = env_checks.check_rivals()
    assert (line.state, line.needed) == ('conflict', True)
    assert 'uninstall -y mmsegmentation onedl-mmsegmentation && ' in line.mend
    assert line.mend.endswith('onedl-mmsegmentation')
