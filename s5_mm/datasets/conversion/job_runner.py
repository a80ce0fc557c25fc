"""Do the jobs of a conversion in several processes; what is there is not done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from s5_mm.io.atomic import remove_leftovers, write_bytes
from s5_mm.io.images.sidecars import remove_sidecars
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import ProgressLine

from .archive import LayoutError
from .jobs import ConversionJob

SCRATCH = '.scratch'
"""Folder of temporary files in the destination."""


class Done(NamedTuple):
    """What became of a job.

    Attributes:
        written: Files that were written.
        problem: What is wrong, or ''.
    """

    written: int
    problem: str


def run_conversion(
    jobs: Sequence[ConversionJob], dst: Path, processes: int
) -> list[str]:
    """Do what is not done yet, and show how far it is.

    Files appear whole or not at all, so what a killed run has written stays, and the
    bytes depend neither on how often that happened nor on the processes.

    Args:
        jobs: All jobs of the conversion.
        dst: The destination.
        processes: How many work at a time.

    Returns:
        What is wrong with files of the source, a line each, sorted; the other files
        are there.

    Raises:
        LayoutError: If two jobs make the same file.
        OSError: If the destination cannot be written.
        BrokenProcessPool: If a process was killed.
    """
    shutil.rmtree(dst / SCRATCH, ignore_errors=True)
    there = set(files_below(dst))
    left = [(job, _missing(job, there)) for job in _distinct(jobs)]
    left = [(job, missing) for job, missing in left if missing]
    progress = ProgressLine('convert', 'files')
    done, problems = len(jobs) - len(left), []
    for result in map_unordered(_Worker(dst), left, processes):
        done += 1
        progress(done, len(jobs))
        if result.problem:
            problems.append(result.problem)
    shutil.rmtree(dst / SCRATCH, ignore_errors=True)
    for folder, _, _ in os.walk(dst):
        remove_leftovers(folder)
    return sorted(problems)


def files_below(folder: Path) -> Iterator[str]:
    """List the files of a destination.

    Args:
        folder: The destination; may be missing.

    Yields:
        Paths relative to it, with ``/``, in any order; those whose names begin with a
        dot do not count.
    """
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        below = os.path.relpath(path, folder).replace(os.sep, '/')
        prefix = '' if below == '.' else f'{below}/'
        yield from (prefix + name for name in files if not name.startswith('.'))


class _Worker:
    """Does a job; picklable."""

    def __init__(self, dst: Path) -> None:
        self.dst = dst

    def __call__(self, item: tuple[ConversionJob, frozenset[str]]) -> Done:
        """Make the files of a job that are missing."""
        job, missing = item
        written = 0
        try:
            for name, data in job.make(missing, self.dst / SCRATCH):
                write_output(self.dst / name, data)
                written += 1
        except ValueError as error:
            return Done(written, str(error))
        return Done(written, '')


def write_output(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: The file.
        data: All of it.

    Raises:
        OSError: If it cannot be written.
    """
    remove_sidecars(path)
    write_bytes(path, data)


def _missing(job: ConversionJob, there: set[str]) -> frozenset[str]:
    """Outputs of a job that are not there."""
    return frozenset(name for name in job.outputs if name not in there)


def _distinct(jobs: Sequence[ConversionJob]) -> Sequence[ConversionJob]:
    """Refuse two sources of one file, of which the last one to be ready would win."""
    owners: dict[str, str] = {}
    for job in jobs:
        for output in job.outputs:
            other = owners.setdefault(output, job.name)
            if other != job.name:
                raise LayoutError(
                    f'{output}: both {other} and {job.name} would become this file, '
                    'expected each image once; is it there packed and unpacked?'
                )
    return jobs
