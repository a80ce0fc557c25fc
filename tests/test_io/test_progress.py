"""Progress on a terminal and in a pipe."""

import io
import sys

import pytest

from s5_mm.io import progress
from s5_mm.io.progress import ProgressLine, StatusLine, duration


class _Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, 'time', lambda: Clock.now)
    return Clock


def test_in_a_pipe(monkeypatch, clock):
    screen = _Screen(False)
    monkeypatch.setattr(sys, 'stderr', screen)
    line = ProgressLine('scan', 'images')
    for done in range(1, 41):
        clock.now += 1
        line(done, 40)
    assert screen.getvalue() == (
        'scan: 10/40 images, 1.0/s ETA 30 s\n'
        'scan: 20/40 images, 1.0/s ETA 20 s\n'
        'scan: 30/40 images, 1.0/s ETA 10 s\n'
        'scan: 40/40 images, 1.0/s\n'
    )


def test_on_a_terminal(monkeypatch, clock):
    screen = _Screen(True)
    monkeypatch.setattr(sys, 'stderr', screen)
    line = ProgressLine('scan', 'images')
    for done in (1, 2, 3):
        clock.now += 1
        line(done, 3)
    assert screen.getvalue() == (
        '\rscan: 1/3 images, 1.0/s ETA 2 s   '
        '\rscan: 2/3 images, 1.0/s ETA 1 s   '
        '\rscan: 3/3 images, 1.0/s   \n'
    )


def test_what_was_done_before_says_nothing_about_the_speed(monkeypatch, clock):
    screen = _Screen(False)
    monkeypatch.setattr(sys, 'stderr', screen)
    line = ProgressLine('scan', 'images')
    line(1000, 2000)
    clock.now += 10
    line(1009, 2000)
    assert screen.getvalue() == 'scan: 1,009/2,000 images, 1.0/s ETA 17 min\n'


def test_last_line_always_comes(monkeypatch, clock):
    monkeypatch.setattr(sys, 'stderr', _Screen(False))
    line = StatusLine()
    assert not line.due()
    assert line.due(last=True)


@pytest.mark.parametrize(
    ('seconds', 'text'), [(42.4, '42 s'), (180, '3 min'), (7500, '2 h 5 min')]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
