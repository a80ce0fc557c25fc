"""The cache of compiled ops: keys, guards, repair; with wheels of a few bytes."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import build_ops

TARGET = build_ops.Target('2.3.6', '2.15.0+cu132', 'cp311', 'x86_64')
NAME = 'onedl_mmcv-2.3.6-cp311-cp311-linux_x86_64.whl'


def make_wheel(folder, ops=True, name=NAME, body=b'compiled'):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, 'w') as archive:
        archive.writestr('mmcv/__init__.py', '')
        if ops:
            archive.writestr('mmcv/_ext.cpython-311-x86_64-linux-gnu.so', body)
    return folder / name


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 's5_mm' / 'wheels'


@pytest.fixture
def no_compiler(monkeypatch):
    """Fail the test if anything is compiled."""

    def refuse(*args):
        raise AssertionError('this must not compile')

    monkeypatch.setattr(build_ops, 'compile_wheel', refuse)
    monkeypatch.setattr(build_ops, 'unpack_source', refuse)


def test_key_tells_apart_what_is_not_interchangeable():
    keys = {
        TARGET.key,
        build_ops.Target('2.3.7', '2.15.0+cu132', 'cp311', 'x86_64').key,
        build_ops.Target('2.3.6', '2.15.0', 'cp311', 'x86_64').key,
        build_ops.Target('2.3.6', '2.15.0+cu132', 'cp312', 'x86_64').key,
        build_ops.Target('2.3.6', '2.15.0+cu132', 'cp311', 'aarch64').key,
        build_ops.Target('2.3.6', '2.15.0+cu132', 'cp311', 'x86_64', '13.2', '8.0').key,
        build_ops.Target('2.3.6', '2.15.0+cu132', 'cp311', 'x86_64', '13.2', '9.0').key,
    }
    assert len(keys) == 7
    assert TARGET.key == 'onedl-mmcv-2.3.6_torch-2.15.0+cu132_cp311_x86_64_cpu'
    cuda = build_ops.Target('2', '2', 'cp311', 'x86_64', '13.2', '8.0;9.0+PTX')
    assert cuda.key.endswith('_cuda13.2-sm80-90+ptx')
    assert not set(cuda.key) & set('/; ')


def test_cache_folder(cache, monkeypatch):
    assert build_ops.cache_root() == cache
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert build_ops.cache_root() == Path.home() / '.cache' / 's5_mm' / 'wheels'


def test_wheel_without_ops_is_refused(tmp_path):
    wheel = make_wheel(tmp_path, ops=False)
    with pytest.raises(build_ops.OpsError, match=r'holds no mmcv/_ext\*\.so'):
        build_ops.check_wheel(wheel)


def test_damaged_wheel_is_refused(tmp_path):
    wheel = make_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:40])
    with pytest.raises(build_ops.OpsError, match='not a readable wheel'):
        build_ops.check_wheel(wheel)


def test_wheel_whose_ops_do_not_import_is_refused(tmp_path):
    wheel = make_wheel(tmp_path, body=b'not a shared object')
    with pytest.raises(build_ops.OpsError, match='does not import or run here'):
        build_ops.check_wheel_runs(wheel)


def test_adopting_checks_first(cache, tmp_path):
    wheel = make_wheel(tmp_path, ops=False)
    with pytest.raises(build_ops.OpsError, match='no compiled ops'):
        build_ops.provide(TARGET, None, wheel)
    assert build_ops.kept_wheel(cache / TARGET.key) is None


def test_second_call_takes_what_was_kept(cache, tmp_path, no_compiler, capsys):
    wheel = make_wheel(tmp_path)
    kept = build_ops.keep(wheel, cache / TARGET.key)
    assert build_ops.provide(TARGET, None, None) == kept
    assert kept.read_bytes() == wheel.read_bytes()
    assert sorted(p.name for p in kept.parent.iterdir()) == [
        '.lock',
        NAME,
        'wheel.json',
    ]
    assert 'taking' in capsys.readouterr().out


@pytest.mark.parametrize(
    'spoil',
    [
        lambda folder: (folder / NAME).write_bytes(b'cut off'),
        lambda folder: (folder / NAME).unlink(),
        lambda folder: (folder / 'wheel.json').write_text('{'),
        lambda folder: (folder / 'wheel.json').write_text('[]'),
        lambda folder: (folder / 'wheel.json').unlink(),
    ],
    ids=['changed', 'gone', 'note cut off', 'note of another kind', 'no note'],
)
def test_spoilt_wheel_is_built_anew(cache, tmp_path, monkeypatch, spoil):
    folder = cache / TARGET.key
    build_ops.keep(make_wheel(tmp_path / 'old'), folder)
    spoil(folder)
    fresh = make_wheel(tmp_path / 'new', body=b'fresh')
    monkeypatch.setattr(build_ops, 'require_compiler', lambda: None)
    monkeypatch.setattr(build_ops, 'unpack_source', lambda *args: tmp_path)
    monkeypatch.setattr(build_ops, 'compile_wheel', lambda *args: fresh)
    monkeypatch.setattr(build_ops, 'check_wheel_runs', build_ops.check_wheel)
    kept = build_ops.provide(TARGET, None, None)
    assert kept.read_bytes() == fresh.read_bytes()
    assert build_ops.kept_wheel(folder) == kept


def test_fresh_wheel_without_ops_is_not_kept(cache, tmp_path, monkeypatch):
    """The guard against a build that did not see torch."""
    opless = make_wheel(tmp_path, ops=False)
    monkeypatch.setattr(build_ops, 'require_compiler', lambda: None)
    monkeypatch.setattr(build_ops, 'unpack_source', lambda *args: tmp_path)
    monkeypatch.setattr(build_ops, 'compile_wheel', lambda *args: opless)
    with pytest.raises(build_ops.OpsError, match='no compiled ops'):
        build_ops.provide(TARGET, None, None)
    assert build_ops.kept_wheel(cache / TARGET.key) is None


def test_source_is_made_to_fit_torch(tmp_path, monkeypatch):
    source = tmp_path / 'onedl_mmcv-2.3.6'
    source.mkdir()
    (source / 'setup.py').write_text("args = ['-std=c++17']")
    sdist = tmp_path / 'onedl_mmcv-2.3.6.tar.gz'
    with tarfile.open(sdist, 'w:gz') as archive:
        archive.add(source, source.name)
    work = tmp_path / 'work'
    work.mkdir()
    monkeypatch.setattr(build_ops, 'cxx_standard', lambda: 20)
    tree = build_ops.unpack_source('2.3.6', sdist, work)
    assert (tree / 'setup.py').read_text() == "args = ['-std=c++20']"


def test_standard_is_what_the_headers_say():
    """Compiled in earnest: the preprocessor refuses the standard below."""
    assert build_ops.cxx_standard() in (17, 20, 23)


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

    monkeypatch.setattr(build_ops.subprocess, 'Popen', Process)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    wheel = build_ops.compile_wheel(tree, TARGET, tmp_path / 'log')
    assert wheel.name == NAME
    command, env = seen[0]
    assert {'--no-cache-dir', '--no-build-isolation', '--no-deps'} <= set(command)
    assert env['CUDA_VISIBLE_DEVICES'] == ''
    assert int(env['MAX_JOBS']) >= 1


def test_failed_build_names_the_log_and_the_first_error(tmp_path, monkeypatch):
    monkeypatch.setattr(build_ops.tempfile, 'tempdir', str(tmp_path))
    (tmp_path / 'setup.py').write_text('raise SystemExit("fatal error: torch.h")')
    with pytest.raises(build_ops.OpsError, match='(?s)compiling failed.*first error'):
        build_ops.compile_wheel(tmp_path, TARGET, tmp_path / 'log')
    assert 'fatal error: torch.h' in (tmp_path / 's5_mm_ops_build.log').read_text()


def test_progress_reads_ninja(tmp_path):
    log = tmp_path / 'log'
    log.write_text('')
    assert build_ops.progress(log) == 'preparing'
    log.write_text('[1/78] c++\n[12/78] c++ x\n')
    assert build_ops.progress(log) == 'compiled 12 of 78 files'


def test_missing_compiler_names_the_mend(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(build_ops.OpsError, match=r'no C\+\+ compiler.*apt install'):
        build_ops.require_compiler()


def test_cuda_build_needs_nvcc(monkeypatch):
    import torch
    from torch.utils import cpp_extension

    monkeypatch.setattr(torch.version, 'cuda', '13.2')
    monkeypatch.setattr(cpp_extension, 'CUDA_HOME', None)
    with pytest.raises(build_ops.OpsError, match=r'nvcc of CUDA 13\.x.*--device cpu'):
        build_ops.find_target('cuda', '2.3.6')


def test_cuda_build_without_gpu_asks_for_archs(monkeypatch, tmp_path):
    import torch
    from torch.utils import cpp_extension

    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'nvcc').touch()
    monkeypatch.setattr(torch.version, 'cuda', '13.2')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    monkeypatch.setattr(cpp_extension, 'CUDA_HOME', str(tmp_path))
    monkeypatch.delenv('TORCH_CUDA_ARCH_LIST', raising=False)
    with pytest.raises(build_ops.OpsError, match='TORCH_CUDA_ARCH_LIST='):
        build_ops.find_target('cuda', '2.3.6')
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '8.0 9.0')
    target = build_ops.find_target('cuda', '2.3.6')
    assert (target.cuda, target.archs) == ('13.2', '8.0;9.0')


def test_command_fails_with_one_clear_line(cache, monkeypatch, capsys):
    def fail(*args):
        raise build_ops.OpsError('no luck')

    monkeypatch.setattr(build_ops, 'provide', fail)
    assert build_ops.main(['--device', 'cpu', '--version', '2.3.6']) == 1
    assert '[ops] FAILED: no luck' in capsys.readouterr().out


def test_wheel_that_no_longer_installs_is_built_once_more(cache, tmp_path, monkeypatch):
    folder = cache / TARGET.key
    build_ops.keep(make_wheel(tmp_path / 'a', body=b'old'), folder)
    fresh = make_wheel(tmp_path / 'b', body=b'fresh')
    monkeypatch.setattr(build_ops, 'find_target', lambda *args: TARGET)
    monkeypatch.setattr(build_ops, 'require_compiler', lambda: None)
    monkeypatch.setattr(build_ops, 'unpack_source', lambda *args: tmp_path)
    monkeypatch.setattr(build_ops, 'compile_wheel', lambda *args: fresh)
    monkeypatch.setattr(build_ops, 'check_wheel_runs', build_ops.check_wheel)
    installed = []

    def install(wheel):
        installed.append(wheel.read_bytes())
        if wheel.read_bytes() != fresh.read_bytes():
            raise build_ops.OpsError('does not work')

    monkeypatch.setattr(build_ops, 'install', install)
    assert build_ops.main(['--version', '2.3.6']) == 0
    assert len(installed) == 2


def test_help_needs_no_torch():
    done = subprocess.run(
        [sys.executable, '-I', '-S', build_ops.__file__, '--help'],
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert '--sdist' in done.stdout
