"""Commands in processes of their own, some at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s5_mm.io.processes import die_with_parent

_POLL = 0.2  # seconds


@dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        key: Whose command it is.
        command: Program and arguments.
        log: File that its output is appended to.
    """

    key: Any
    command: Sequence[str]
    log: Path


@dataclass(frozen=True)
class _Child:
    """A job at work."""

    job: Job
    process: subprocess.Popen
    start: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start


def run_jobs(
    jobs: Iterable[Job],
    slots: int,
    environment: Mapping[str, str],
    ended: Callable[[Any, int | None, float], None],
    waiting: Callable[[Sequence[Any]], None],
    patience: float = 60.0,
) -> None:
    """Run commands, so many at a time, in their order.

    Args:
        jobs: The commands; the next one is taken when a slot is free.
        slots: How many run at a time.
        environment: Variables of the processes.
        ended: Takes key, exit status and seconds of a job that has ended; the status is
            None of one that was told to stop.
        waiting: Takes the keys of those at work, a few times a second.
        patience: Seconds that those at work get to save their state after Ctrl-C.

    Raises:
        KeyboardInterrupt: At Ctrl-C, after every process has ended.
    """
    children: list[_Child] = []
    queue = iter(jobs)
    try:
        while True:
            while len(children) < slots and (job := next(queue, None)) is not None:
                children.append(_start(job, environment))
            if not children:
                return
            time.sleep(_POLL)
            for child in list(children):
                status = child.process.poll()
                if status is not None:
                    children.remove(child)
                    _kill_group(child)
                    ended(child.job.key, status, child.seconds)
            waiting([child.job.key for child in children])
    finally:
        _stop(children, patience)
        for child in children:
            status = None if child.process.returncode else 0
            ended(child.job.key, status, child.seconds)


def _start(job: Job, environment: Mapping[str, str]) -> _Child:
    """Start a job in a session of its own, which Ctrl-C does not reach."""
    with job.log.open('ab') as log:
        process = subprocess.Popen(
            list(job.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    return _Child(job, process, time.monotonic())


def _stop(children: Sequence[_Child], patience: float) -> None:
    """Ask processes to save their state and leave; kill them if they do not."""
    for child in children:
        child.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + patience
    # A second Ctrl-C ends the patience.
    with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        for child in children:
            child.process.wait(max(end - time.monotonic(), 0))
    for child in children:
        _kill_group(child)
        child.process.wait()


def _kill_group(child: _Child) -> None:
    """Kill what a job has left behind, such as data workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)
