"""How far a stage is, on the screen of who runs it and of who looks on."""

from __future__ import annotations

from pathlib import Path

from s5_mm.utils.progress import duration

from .manifest import ManifestError, Parts
from .work_dir import STAGES, WorkDir

# Files whose times give the speed of a stage that another process works on.
_RECENT = 20
_PER_PART = ('scan', 'score')


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
