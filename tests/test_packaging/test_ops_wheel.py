"""Guards of a wheel with compiled ops, and where wheels are kept."""

from pathlib import Path

import pytest

import ops_wheel

from .mmcv_wheels import make_wheel


def test_cache_folder(cache, monkeypatch):
    assert ops_wheel.cache_root() == cache
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert ops_wheel.cache_root() == Path.home() / '.cache' / 's5_mm' / 'wheels'


def test_wheel_without_ops_is_refused(tmp_path):
    wheel = make_wheel(tmp_path, ops=False)
    with pytest.raises(ops_wheel.OpsError, match=r'holds no mmcv/_ext\*\.so'):
        ops_wheel.check_wheel(wheel)


def test_damaged_wheel_is_refused(tmp_path):
    wheel = make_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:40])
    with pytest.raises(ops_wheel.OpsError, match='not a readable wheel'):
        ops_wheel.check_wheel(wheel)


def test_wheel_whose_ops_do_not_import_is_refused(tmp_path):
    wheel = make_wheel(tmp_path, body=b'not a shared object')
    with pytest.raises(ops_wheel.OpsError, match='does not import or run here'):
        ops_wheel.check_wheel_runs(wheel)


def test_kept_wheel_is_kept_again(cache):
    kept = ops_wheel.keep(make_wheel(cache / 'given'), cache / 'target')
    before = kept.read_bytes()
    assert ops_wheel.keep(kept, cache / 'target') == kept
    assert ops_wheel.kept_wheel(cache / 'target') == kept
    assert kept.read_bytes() == before
