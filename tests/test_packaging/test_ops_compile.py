"""Compiling the ops: how pip is called, and what is said on the way."""

import tarfile

import pytest

import ops_compile
from ops_wheel import OpsError

from .mmcv_wheels import NAME, TARGET, make_wheel


def test_source_is_made_to_fit_torch(tmp_path, monkeypatch):
    source = tmp_path / 'onedl_mmcv-2.3.6'
    source.mkdir()
    (source / 'setup.py').write_text("args = ['-std=c++17']")
    sdist = tmp_path / 'onedl_mmcv-2.3.6.tar.gz'
    with tarfile.open(sdist, 'w:gz') as archive:
        archive.add(source, source.name)
    work = tmp_path / 'work'
    work.mkdir()
    monkeypatch.setattr(ops_compile, 'cxx_standard', lambda: 20)
    tree = ops_compile.unpack_source('2.3.6', sdist, work)
    assert (tree / 'setup.py').read_text() == "args = ['-std=c++20']"


def test_standard_is_what_the_headers_say():
    """Compiled in earnest: the preprocessor refuses the standard below."""
    assert ops_compile.cxx_standard() in (17, 20, 23)


def test_build_goes_beside_pips_cache(tmp_path, monkeypatch):
    """Both the download and the build keep away from pip's cache and its isolation."""
    seen = []
    tree = tmp_path / 'tree'
    tree.mkdir()

    class Process:
        returncode = 0

        def __init__(self, command, env, **kwargs):
            seen.append((command, env))
            make_wheel(tmp_path / 'wheel')

        def poll(self):
            return 0

    monkeypatch.setattr(ops_compile.subprocess, 'Popen', Process)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    wheel = ops_compile.compile_wheel(tree, TARGET, tmp_path / 'log')
    assert wheel.name == NAME
    command, env = seen[0]
    assert {'--no-cache-dir', '--no-build-isolation', '--no-deps'} <= set(command)
    assert env['CUDA_VISIBLE_DEVICES'] == ''
    assert int(env['MAX_JOBS']) >= 1


def test_failed_build_names_the_log_and_the_first_error(tmp_path, monkeypatch):
    monkeypatch.setattr(ops_compile.tempfile, 'tempdir', str(tmp_path))
    (tmp_path / 'setup.py').write_text('raise SystemExit("fatal error: torch.h")')
    with pytest.raises(OpsError, match='(?s)compiling failed.*first error'):
        ops_compile.compile_wheel(tmp_path, TARGET, tmp_path / 'log')
    assert 'fatal error: torch.h' in (tmp_path / 's5_mm_ops_build.log').read_text()


def test_progress_reads_ninja(tmp_path):
    log = tmp_path / 'log'
    log.write_text('')
    assert ops_compile.progress(log) == 'preparing'
    log.write_text('[1/78] c++\n[12/78] c++ x\n')
    assert ops_compile.progress(log) == 'compiled 12 of 78 files'


def test_missing_compiler_names_the_mend(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(OpsError, match=r'no C\+\+ compiler.*apt install'):
        ops_compile.require_compiler()
