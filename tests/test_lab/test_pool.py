"""Commands in parallel: order, statuses, and that none outlives the caller."""

import os
import signal
import sys
import threading
import time

import pytest

from s5_mm.lab import Job, run_jobs

SLOW = """
import signal, sys, time
def leave(*_):
    print('saved', flush=True)
    raise SystemExit(75)
signal.signal(signal.SIGTERM, leave)
print('ready', flush=True)
time.sleep(600)
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if child := os.fork():
    print('child', child, 'ready', flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _ctrl_c_arrives():
    """A shell ignores SIGINT in what it starts in the background, tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _job(folder, key, text):
    return Job(key, [sys.executable, '-c', text], folder / f'{key}.log')


def _run(jobs, slots=2, waiting=lambda keys: None, **kwargs):
    ends = []
    run_jobs(
        jobs,
        slots,
        os.environ,
        lambda key, status, seconds: ends.append((key, status)),
        waiting,
        **kwargs,
    )
    return ends


def _gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f'/proc/{pid}/stat') as file:
        return file.read().split()[2] == 'Z'


def test_statuses_and_logs(tmp_path):
    texts = {'a': 'print(1)', 'b': 'raise SystemExit(3)', 'c': 'print(2)'}
    (tmp_path / 'a.log').write_text('before\n')
    most = []
    jobs = [_job(tmp_path, key, text) for key, text in texts.items()]
    ends = _run(jobs, 2, lambda keys: most.append(len(keys)))
    assert sorted(ends) == [('a', 0), ('b', 3), ('c', 0)]
    assert max(most) <= 2
    assert (tmp_path / 'a.log').read_text() == 'before\n1\n'


def test_one_slot_keeps_the_order(tmp_path):
    prepared = []

    def jobs():
        for key in 'abc':
            prepared.append((key, len(ends)))
            yield _job(tmp_path, key, '')

    ends = []
    run_jobs(jobs(), 1, os.environ, lambda *end: ends.append(end), lambda keys: None)
    assert [key for key, *_ in ends] == ['a', 'b', 'c']
    # A job is prepared when there is a slot for it.
    assert prepared == [('a', 0), ('b', 1), ('c', 2)]


def _interrupt_when_ready(tmp_path, keys):
    def wait():
        while not all(
            (tmp_path / f'{key}.log').is_file()
            and 'ready' in (tmp_path / f'{key}.log').read_text()
            for key in keys
        ):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def test_ctrl_c_lets_them_save(tmp_path):
    ends = []
    jobs = [_job(tmp_path, key, SLOW) for key in 'abc']
    _interrupt_when_ready(tmp_path, 'ab')
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, 2, os.environ, lambda *end: ends.append(end[:2]), lambda _: None)
    assert ends == [('a', None), ('b', None)]
    assert (tmp_path / 'a.log').read_text() == 'ready\nsaved\n'
    assert not (tmp_path / 'c.log').exists()


def test_those_that_do_not_leave_are_killed_with_their_children(tmp_path):
    ends = []
    _interrupt_when_ready(tmp_path, 'a')
    with pytest.raises(KeyboardInterrupt):
        run_jobs(
            [_job(tmp_path, 'a', STUBBORN)],
            1,
            os.environ,
            lambda *end: ends.append(end[:2]),
            lambda _: None,
            patience=0.3,
        )
    assert ends == [('a', None)]
    child = int((tmp_path / 'a.log').read_text().split()[1])
    for _ in range(100):
        if _gone(child):
            break
        time.sleep(0.05)
    assert _gone(child)
