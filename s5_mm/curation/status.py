"""How far a stage is, on the screen of who runs it and of who looks on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from s5_mm.io.crop_tables.parquet import ManifestError, Parts
from s5_mm.io.crop_tables.run_names import STAGES
from s5_mm.io.progress import duration

from .run import CurationRun
from .stages import STAGE_TYPES
from .work_dir import WorkDir

# Files whose times give the speed of a stage that another process works on.
_RECENT = 20


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


def outlook(run: CurationRun, stages: Iterable[str]) -> str:
    """Say what running stages would do, without doing it.

    Args:
        run: The run.
        stages: Their names.

    Returns:
        A line for each.
    """
    lines = []
    for stage in stages:
        text = 'done' if STAGE_TYPES[stage](run).done() else 'to do'
        if text == 'to do' and stage == 'plan':
            sizes = [
                f'{collection.name}: {sum(1 for _ in collection.names()):,} images'
                for collection in run.settings.collections
            ]
            text += f' ({", ".join(sizes)})'
        elif text == 'to do' and run.work.record('plan').get('finished'):
            text += f' ({_missing(run, stage)}{run.num_crops():,} crops)'
        lines.append(f'{stage:<12} {text}')
    return '\n'.join(lines)


def _missing(run: CurationRun, stage: str) -> str:
    """Say how many parts are missing of a stage that works part by part."""
    if not STAGE_TYPES[stage].by_parts:
        return ''
    names = list(run.parts())
    missing = sum(not (run.folder(stage) / name).exists() for name in names)
    return f'{missing} of {len(names)} parts, '


def _left(work: WorkDir, stage: str) -> str:
    """Estimate the time that a stage needs still, where it works part by part."""
    if not STAGE_TYPES[stage].by_parts or not work.record('plan').get('finished'):
        return ''
    total = len(Parts(work.folder('plan')))
    files = list(Path(work.folder(stage)).glob('part-*.parquet'))
    text = f', {len(files)} of {total} parts'
    times = sorted(file.stat().st_mtime for file in files)[-_RECENT:]
    if len(times) > 1 and times[-1] > times[0]:
        speed = (len(times) - 1) / (times[-1] - times[0])
        text += f', ETA {duration((total - len(files)) / speed)}'
    return text
