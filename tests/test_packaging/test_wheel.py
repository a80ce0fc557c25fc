"""The wheel is whole, and the check notices when it is not."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.misc import check_wheel

ROOT = Path(__file__).resolve().parents[2]


def rewrite(wheel, target, drop=(), add=()):
    """Copy a wheel without some members and with some more."""
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, 'w') as new:
        for item in old.infolist():
            if item.filename not in drop:
                new.writestr(item, old.read(item.filename))
        for name, text in add:
            new.writestr(name, text)
    return target


def test_wheel_is_whole(built_wheel):
    assert check_wheel.check_contents(built_wheel, ROOT) == []
    with zipfile.ZipFile(built_wheel) as archive:
        names = archive.namelist()
    assert 's5_mm/registry.py' in names
    assert 's5_mm/.mim/tools/misc/check_env.py' in names
    assert any(n.startswith('s5_mm/.mim/configs/') for n in names)
    assert not [n for n in names if n.startswith(('tests/', 'tools/', 'configs/'))]


@pytest.mark.parametrize(
    'name',
    [
        's5_mm/registry.py',
        's5_mm/utils/__init__.py',
        's5_mm/.mim/tools/misc/check_env.py',
        's5_mm/py.typed',
        's5_mm/curation/report/report.html.jinja',
    ],
)
def test_missing_file_is_named(built_wheel, tmp_path, name):
    broken = rewrite(built_wheel, tmp_path / built_wheel.name, drop=[name])
    assert check_wheel.check_contents(broken, ROOT) == [f'missing in the wheel: {name}']


def test_stale_and_changed_files_are_named(built_wheel, tmp_path):
    broken = rewrite(
        built_wheel,
        tmp_path / built_wheel.name,
        drop=['s5_mm/version.py'],
        add=[('s5_mm/gone.py', ''), ('s5_mm/version.py', '__version__ = "9"')],
    )
    assert check_wheel.check_contents(broken, ROOT) == [
        'in the wheel, but not in the tree: s5_mm/gone.py',
        'differs from the tree: s5_mm/version.py',
    ]


def test_requirement_difference_is_named():
    faults = check_wheel.check_metadata(['torch>=2.5'], ROOT)
    assert any('requirements/runtime.txt differ' in fault for fault in faults)
    assert any('requirements/det.txt differ' in fault for fault in faults)


def test_module_that_does_not_import_is_named(built_wheel, tmp_path):
    broken = rewrite(
        built_wheel,
        tmp_path / built_wheel.name,
        drop=['s5_mm/registry.py', 's5_mm/utils/randomness.py'],
    )
    works, text = check_wheel.check_runs(broken)
    assert not works
    assert 'registry' in text


def test_build_drops_modules_that_are_gone(tmp_path):
    """Nor is a module packed that was deleted since, nor the builder's own configs."""
    check_wheel.copy_tree(ROOT, tmp_path)
    (tmp_path / 'configs/own').mkdir(exist_ok=True)
    (tmp_path / 'configs/own/mine.py').touch()
    stale = tmp_path / 'build' / 'lib' / 's5_mm' / 'gone.py'
    stale.parent.mkdir(parents=True)
    stale.write_text('')
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index']
    command += ['--no-build-isolation', '-q', '-w', str(out), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = out.glob('*.whl')
    names = zipfile.ZipFile(wheel).namelist()
    assert not [n for n in names if 'gone' in n or '/own/' in n]
    assert any(n.endswith('configs/_base_/datasets/own_images.py') for n in names)


def test_editable_build_links_tools_and_configs(tmp_path):
    """PEP 660: no `develop` on the command line, and yet `.mim` is there."""
    check_wheel.copy_tree(ROOT, tmp_path)
    shutil.rmtree(tmp_path / 's5_mm' / '.mim', ignore_errors=True)
    code = (
        'from setuptools import build_meta; import sys; '
        'print(build_meta.build_editable(sys.argv[1]))'
    )
    (tmp_path / 'out').mkdir()
    subprocess.run(
        [sys.executable, '-c', code, 'out'],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    mim = tmp_path / 's5_mm' / '.mim'
    for part in ('tools', 'configs'):
        assert (mim / part).is_symlink()
        assert (mim / part).resolve() == tmp_path / part
    (wheel,) = (tmp_path / 'out').glob('*.whl')
    # The links serve; a copy would be what `mim` finds second, and refuse to choose.
    assert not [n for n in zipfile.ZipFile(wheel).namelist() if '.mim' in n]


@pytest.mark.skipif(
    importlib.util.find_spec('mim') is None, reason='onedl-mim is not installed'
)
def test_mim_finds_the_installed_wheel(built_wheel, tmp_path):
    """`mim train s5_mm CONFIG` reaches our train.py, from pip's installed wheel."""
    site = tmp_path / 'site'
    command = [sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index', '-q']
    command += ['--no-compile', '--target', str(site), str(built_wheel)]
    subprocess.run(command, check=True, capture_output=True)
    code = (
        'from mim.utils import get_installed_path, recursively_find; '
        'root = get_installed_path("s5_mm"); print(root)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={'PYTHONPATH': str(site), 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)},
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    root = Path(done.stdout.strip().splitlines()[-1])
    assert root.parent == site, done.stderr
    tools = {p.relative_to(ROOT) for p in check_wheel.tree_files(ROOT / 'tools')}
    assert Path('tools/train.py') in tools
    for part in (*tools, Path('configs')):
        assert (root / '.mim' / part).exists(), part
