from __future__ import annotations

import threading
import time

import pytest

from s5_mm.io.heartbeat import Heartbeat, to_stderr


def test_silent_work_is_reported_until_it_ends():
    lines, twice = [], threading.Event()

    def write(line):
        lines.append(line)
        if len(lines) == 2:
            twice.set()

    threads = threading.active_count()
    with Heartbeat(every=0.001, write=write).during('check'):
        assert twice.wait(60)
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
    assert lines[:2] == ['check: at work for 0 s'] * 2


def test_nothing_is_reported_when_something_else_was_shown():
    lines, waits = [], []
    heart = Heartbeat(every=10, write=lines.append)

    class Stop:
        """An event; something is shown while the first wait lasts."""

        def wait(self, seconds):
            waits.append(seconds)
            heart.last = time.monotonic() + 100 * (len(waits) == 1)
            return len(waits) == 2

    heart._beat('check', 0.0, Stop())
    assert lines == []
    assert waits[0] <= 10
    assert 100 < waits[1] <= 110


def test_the_thread_ends_with_work_that_fails():
    threads = threading.active_count()
    with pytest.raises(KeyError), Heartbeat().during('check'):
        raise KeyError
    assert threading.active_count() == threads


def test_lines_go_to_stderr(capsys):
    to_stderr('check: at work for 15 s')
    assert capsys.readouterr() == ('', 'check: at work for 15 s\n')
