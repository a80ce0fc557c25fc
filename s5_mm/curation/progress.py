"""How far a stage is, on the screen of who runs it and of who looks on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .manifest import ManifestError, Parts
from .work_dir import STAGES, WorkDir

# Files whose times give the speed of a stage that another process works on.
_RECENT = 20
_PER_PART = ('scan', 'score')


class ProgressLine:
    """A line that is written over: what is done, the speed, the time that is left.

    Args:
        stage: What is done.
        unit: What is counted.
    """

    def __init__(self, stage: str, unit: str) -> None:
        self.stage, self.unit = stage, unit
        self._start = self._last = time.time()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is, once a second and at the end.

        Args:
            done: Items done, those of earlier runs included.
            total: Items in all.
        """
        now = time.time()
        if self._first is None:
            # What an earlier run has done says nothing about the speed of this one.
            self._first = max(done - 1, 0)
        if now - self._last < 1 and done < total:
            return
        self._last = now
        speed = (done - self._first) / max(now - self._start, 1e-9)
        left = f'ETA {duration((total - done) / speed)}' if done < total else ''
        end = '\n' if done >= total else ''
        sys.stderr.write(
            f'\r{self.stage}: {done:,}/{total:,} {self.unit}, {speed:,.1f}/s '
            f'{left}   {end}'
        )
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Write a time as ``42 s``, ``3 min`` or ``2 h 05 min``."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return (
        f'{minutes} min' if minutes < 100 else f'{minutes // 60} h {minutes % 60} min'
    )


def status(work: WorkDir) -> str:
    """Say how far every stage of a run is, from its files alone.

    Args:
        work: The directory of the run, in which another process may work.

    Returns:
        A line for each stage.

    Raises:
        ManifestError: If it holds no run.
    """
    records = {stage: work.record(stage) for stage in STAGES}
    if not any(records.values()):
        raise ManifestError(f'{work.path}: no run of curation is here')
    lines = []
    for stage in STAGES:
        record = records[stage]
        state = 'not begun'
        if record.get('finished'):
            state = f'done in {duration(record["seconds"])}'
            for key in ('items', 'unit'):
                state += f'{", " if key == "items" else " "}{record.get(key, "")}'
        elif record:
            state = 'begun' + _left(work, stage)
        lines.append(f'{stage:<12} {state.rstrip(", ")}')
    return '\n'.join(lines)


def _left(work: WorkDir, stage: str) -> str:
    """Estimate the time that a stage needs still, where it works part by part."""
    if stage not in _PER_PART or not work.record('plan').get('finished'):
        return ''
    total = len(Parts(work.folder('plan')))
    files = list(Path(work.folder(stage)).glob('part-*.parquet'))
    text = f', {len(files)} of {total} parts'
    times = sorted(file.stat().st_mtime for file in files)[-_RECENT:]
    if len(times) > 1 and times[-1] > times[0]:
        speed = (len(times) - 1) / (times[-1] - times[0])
        text += f', ETA {duration((total - len(files)) / speed)}'
    return text
