"""Work on many items in several processes that do not outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing.connection import wait as wait_connections
from threading import Thread
from typing import TypeVar

import cv2

Item = TypeVar('Item')
JobResult = TypeVar('JobResult')

_AHEAD = 2


def map_unordered(
    function: Callable[[Item], JobResult], items: Sequence[Item], jobs: int = 1
) -> Iterator[JobResult]:
    """Call a function for every item and yield results as they come.

    Args:
        function: Picklable.
        items: Taken in order.
        jobs: Processes; 1 works in this one.

    Yields:
        One result an item, in any order.

    Raises:
        BrokenProcessPool: If a process was killed, for lack of memory most often; a
            ``multiprocessing.Pool`` would wait for it for ever.
    """
    if jobs <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context('fork')
    pool = ProcessPoolExecutor(jobs, context, _start_worker)
    left = iter(items)
    pending: set[Future[JobResult]] = set()
    try:
        while True:
            for item in islice(left, _AHEAD * jobs - len(pending)):
                pending.add(pool.submit(function, item))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Set up a process."""
    cv2.setNumThreads(0)
    # The parent reports Ctrl-C; a traceback from every process says nothing more.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent was killed, which otherwise goes unnoticed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_connections([parent.sentinel])
        os._exit(1)
