import errno
import os

import pytest

from s5_mm.io.atomic import atomic_open, remove_leftovers


def test_writes_and_replaces(tmp_path):
    path = tmp_path / 'deep' / 'a.bin'
    for data in (b'one', b'two'):
        with atomic_open(path) as file:
            file.write(data)
    assert path.read_bytes() == b'two'
    assert os.listdir(path.parent) == ['a.bin']


def test_file_and_directory_reach_the_disk_in_order(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def traced_fsync(handle):
        events.append('dir' if os.path.isdir(f'/proc/self/fd/{handle}') else 'file')
        fsync(handle)

    def traced_replace(source, target):
        events.append('rename')
        replace(source, target)

    monkeypatch.setattr(os, 'fsync', traced_fsync)
    monkeypatch.setattr(os, 'replace', traced_replace)
    with atomic_open(tmp_path / 'a', lambda path: events.append('check')) as file:
        file.write(b'x')
    assert events == ['file', 'check', 'rename', 'dir']


@pytest.mark.parametrize('fault', ['write', 'fsync', 'check', 'rename'])
def test_failure_keeps_the_old_file(tmp_path, monkeypatch, fault):
    path = tmp_path / 'a'
    path.write_bytes(b'old')

    def fail(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    if fault == 'fsync':
        monkeypatch.setattr(os, 'fsync', fail)
    if fault == 'rename':
        monkeypatch.setattr(os, 'replace', fail)

    def write():
        with atomic_open(path, fail if fault == 'check' else None) as file:
            file.write(b'new')
            if fault == 'write':
                fail()

    with pytest.raises(OSError, match='No space left'):
        write()
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a']


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    for name in (
        'iter_4.pth',
        'iter_4.pth.tmp-123',
        'last_checkpoint.tmp-9',
        'a.tmp-x',
    ):
        (tmp_path / name).touch()
    (tmp_path / 'dir.tmp-1').mkdir()
    removed = remove_leftovers(tmp_path)
    assert removed == ['iter_4.pth.tmp-123', 'last_checkpoint.tmp-9']
    assert sorted(os.listdir(tmp_path)) == ['a.tmp-x', 'dir.tmp-1', 'iter_4.pth']
    assert remove_leftovers(tmp_path / 'missing') == []
