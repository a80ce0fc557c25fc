"""The compilation of mmcv's operators, with an mmcv of one file in its place."""

import subprocess
import sys
import tarfile
import zipfile

import pytest

from s5_mm.cli.command import run_command
from tools.misc import build_ops

WHEEL = 'onedl_mmcv-2.3.6-cp311-cp311-linux_x86_64.whl'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no FORCE_CUDA."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('FORCE_CUDA', raising=False)
    return tmp_path / 'cache/s5_mm/wheels'


@pytest.fixture
def source(tmp_path):
    """A source package whose setup.py makes a wheel of what it is compiled with."""
    tree = tmp_path / 'onedl_mmcv-2.3.6'
    (tree / 'mmcv').mkdir(parents=True)
    (tree / 'mmcv/__init__.py').touch()
    (tree / 'setup.py').write_text(
        'import os\n'
        'from setuptools import setup\n'
        "seen = {name: os.environ.get(name) for name in ('FORCE_CUDA', 'MAX_JOBS')}\n"
        "flags = '-std=c++17'\n"
        "open('mmcv/seen.py', 'w').write(f'seen, flags = {seen}, {flags!r}')\n"
        "setup(name='onedl_mmcv', version='2.3.6', packages=['mmcv'])\n"
    )
    sdist = tmp_path / 'onedl_mmcv-2.3.6.tar.gz'
    with tarfile.open(sdist, 'w:gz') as archive:
        archive.add(tree, tree.name)
    return sdist


def test_the_source_is_built_for_the_installed_torch(source, tmp_path, monkeypatch):
    monkeypatch.setenv('MAX_JOBS', '3')
    out = tmp_path / 'out'
    build_ops.compile_wheel(out, source, {'FORCE_CUDA': '0'})
    (wheel,) = out.glob('*.whl')
    scope = {}
    exec(zipfile.ZipFile(wheel).read('mmcv/seen.py'), scope)
    assert scope['seen'] == {'FORCE_CUDA': '0', 'MAX_JOBS': '3'}
    # torch 2.15's headers refuse less than C++20.
    assert scope['flags'] in ('-std=c++17', '-std=c++20', '-std=c++23')


def test_a_source_that_does_not_build_is_an_error(tmp_path):
    broken = tmp_path / 'broken.tar.gz'
    (tmp_path / 'setup.py').write_text('raise SystemExit("fatal error: torch.h")')
    with tarfile.open(broken, 'w:gz') as archive:
        archive.add(tmp_path / 'setup.py', 'onedl_mmcv/setup.py')
    with pytest.raises(SystemExit, match=r'pip wheel failed.*g\+\+'):
        build_ops.compile_wheel(tmp_path / 'out', broken, {})


def test_the_second_time_the_kept_wheel_is_installed(cache, monkeypatch, capsys):
    key, settings = build_ops.target('cpu')
    assert settings == {'FORCE_CUDA': '0', 'CUDA_VISIBLE_DEVICES': ''}
    assert key.endswith('_cpu')
    calls = []

    def compile_wheel(out, sdist, settings):
        calls.append('compile')
        (out / WHEEL).write_bytes(b'compiled')

    monkeypatch.setattr(build_ops, 'compile_wheel', compile_wheel)
    monkeypatch.setattr(build_ops, '_pip', lambda *words: calls.append(words[0]))
    monkeypatch.setattr(build_ops, 'PROBE', 'pass')
    for arguments in ([], [], ['--force']):
        build_ops.main(['--device', 'cpu', *arguments])
    assert calls == ['compile', 'install', 'install', 'compile', 'install']
    assert [path.name for path in (cache / key).iterdir()] == [WHEEL]
    assert capsys.readouterr().out.count('its operators run') == 3
    monkeypatch.setattr(build_ops, 'PROBE', 'raise SystemExit(1)')
    with pytest.raises(SystemExit, match=r'do not run; compile them anew with --force'):
        build_ops.main(['--device', 'cpu'])


def test_cuda_without_what_it_needs_is_refused(cache, monkeypatch):
    import torch

    monkeypatch.setattr(torch.version, 'cuda', None)
    with pytest.raises(SystemExit, match='CUDA operators need a torch with CUDA'):
        build_ops.target('cuda')
    monkeypatch.setattr(torch.version, 'cuda', '13.2')
    monkeypatch.setattr('torch.utils.cpp_extension.CUDA_HOME', '/usr/local/cuda')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    monkeypatch.delenv('TORCH_CUDA_ARCH_LIST', raising=False)
    with pytest.raises(SystemExit, match='no GPU is visible here'):
        build_ops.target('cuda')
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '8.0;9.0')
    key, settings = build_ops.target('cuda')
    assert key.endswith('_cuda13.2-sm80-90')
    assert settings == {'FORCE_CUDA': '1', 'TORCH_CUDA_ARCH_LIST': '8.0;9.0'}


def test_a_source_that_is_not_there_is_refused(capsys, tmp_path):
    arguments = ['--sdist', str(tmp_path / 'no.tar.gz')]
    assert run_command(build_ops.main, arguments) == 2
    assert 'no.tar.gz: no such file' in capsys.readouterr().err


def test_help_names_the_cost():
    done = subprocess.run(
        [sys.executable, build_ops.__file__, '--help'], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert '28 to 63 minutes' in done.stdout
