"""Taking, adopting and repairing compiled ops; with wheels of a few bytes."""

import subprocess
import sys

import pytest

import build_ops
from ops_wheel import OpsError, check_wheel, keep, kept_wheel
from s5_mm.cli.command import run_command

from .mmcv_wheels import NAME, TARGET, make_wheel


@pytest.fixture
def no_compiler(monkeypatch):
    """Fail the test if anything is compiled."""

    def refuse(*args):
        raise AssertionError('this must not compile')

    monkeypatch.setattr(build_ops, 'compile_wheel', refuse)
    monkeypatch.setattr(build_ops, 'unpack_source', refuse)


def test_adopting_checks_first(cache, tmp_path):
    wheel = make_wheel(tmp_path, ops=False)
    with pytest.raises(OpsError, match='no compiled ops'):
        build_ops.provide(TARGET, None, wheel)
    assert kept_wheel(cache / TARGET.key) is None


def test_second_call_takes_what_was_kept(cache, tmp_path, no_compiler, capsys):
    wheel = make_wheel(tmp_path)
    kept = keep(wheel, cache / TARGET.key)
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
    keep(make_wheel(tmp_path / 'old'), folder)
    spoil(folder)
    fresh = make_wheel(tmp_path / 'new', body=b'fresh')
    monkeypatch.setattr(build_ops, 'require_compiler', lambda: None)
    monkeypatch.setattr(build_ops, 'unpack_source', lambda *args: tmp_path)
    monkeypatch.setattr(build_ops, 'compile_wheel', lambda *args: fresh)
    monkeypatch.setattr(build_ops, 'check_wheel_runs', check_wheel)
    kept = build_ops.provide(TARGET, None, None)
    assert kept.read_bytes() == fresh.read_bytes()
    assert kept_wheel(folder) == kept


def test_fresh_wheel_without_ops_is_not_kept(cache, tmp_path, monkeypatch):
    """The guard against a build that did not see torch."""
    opless = make_wheel(tmp_path, ops=False)
    monkeypatch.setattr(build_ops, 'require_compiler', lambda: None)
    monkeypatch.setattr(build_ops, 'unpack_source', lambda *args: tmp_path)
    monkeypatch.setattr(build_ops, 'compile_wheel', lambda *args: opless)
    with pytest.raises(OpsError, match='no compiled ops'):
        build_ops.provide(TARGET, None, None)
    assert kept_wheel(cache / TARGET.key) is None


def test_command_fails_with_one_clear_line(cache, monkeypatch, capsys):
    def fail(*args):
        raise OpsError('no luck')

    monkeypatch.setattr(build_ops, 'provide', fail)
    arguments = ['--device', 'cpu', '--version', '2.3.6']
    assert run_command(build_ops.main, arguments) == 1
    assert capsys.readouterr().err == 'build_ops.py: no luck\n'


def test_wheel_that_no_longer_installs_is_built_once_more(cache, tmp_path, monkeypatch):
    folder = cache / TARGET.key
    keep(make_wheel(tmp_path / 'a', body=b'old'), folder)
    fresh = make_wheel(tmp_path / 'b', body=b'fresh')
    monkeypatch.setattr(build_ops, 'find_target', lambda *args: TARGET)
    monkeypatch.setattr(build_ops, 'require_compiler', lambda: None)
    monkeypatch.setattr(build_ops, 'unpack_source', lambda *args: tmp_path)
    monkeypatch.setattr(build_ops, 'compile_wheel', lambda *args: fresh)
    monkeypatch.setattr(build_ops, 'check_wheel_runs', check_wheel)
    installed = []

    def install(wheel):
        installed.append(wheel.read_bytes())
        if wheel.read_bytes() != fresh.read_bytes():
            raise OpsError('does not work')

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
