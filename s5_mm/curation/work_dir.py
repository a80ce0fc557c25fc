"""The work directory of a curation run: one run at a time, a record for every stage."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from s5_mm.io.atomic import remove_leftovers, write_json
from s5_mm.io.crop_tables.parquet import ManifestError
from s5_mm.io.crop_tables.run_names import LOCK_FILE, STAGE_FILE, STAGES
from s5_mm.io.locks import file_lock


class WorkDir:
    """A folder that holds a run, possibly one that was killed.

    Args:
        path: The folder; made where missing by :meth:`lock`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def folder(self, stage: str) -> Path:
        """Folder of a stage."""
        return self.path / stage

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out; the lock ends with the process, whatever ends it.

        Raises:
            ManifestError: If another run has it; its host and process are named.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (
            open(self.path / LOCK_FILE, 'a+', encoding='utf-8') as file,
            ExitStack() as stack,
        ):
            try:
                stack.enter_context(file_lock(file))
            except OSError as error:
                file.seek(0)
                raise ManifestError(
                    f'{self.path}: another run works in this directory '
                    f'({file.read().strip()}); wait for it, or use another --work-dir'
                ) from error
            file.truncate(0)
            file.write(f'host {socket.gethostname()}, process {os.getpid()}\n')
            file.flush()
            yield

    def begin(self, stage: str, settings: Mapping[str, Any]) -> StageRecord:
        """Open the record of a stage before work on it starts.

        Args:
            stage: Its name.
            settings: What decides its result, JSON.

        Returns:
            The record, ``finished`` if there is nothing to do.

        Raises:
            ManifestError: If the folder holds work with other settings; the first
                setting that differs is named.
        """
        settings = json.loads(json.dumps(settings, sort_keys=True))
        fingerprint = _fingerprint(
            settings, [self.record(s).get('fingerprint') for s in before(stage)]
        )
        record = self.record(stage)
        if record and record['fingerprint'] != fingerprint:
            raise ManifestError(
                f'{self.folder(stage)}: {_difference(record["settings"], settings)}; '
                f'use another --work-dir, or do it again with --redo {stage}'
            )
        if not record:
            record = {
                'stage': stage,
                'fingerprint': fingerprint,
                'settings': settings,
                'finished': False,
                'seconds': 0.0,
            }
            write_json(self.folder(stage) / STAGE_FILE, record)
        remove_leftovers(self.folder(stage))
        return StageRecord(self.folder(stage) / STAGE_FILE, record)

    def record(self, stage: str) -> dict[str, Any]:
        """Read the record of a stage.

        Args:
            stage: Its name.

        Returns:
            The record, empty if the stage has not begun.

        Raises:
            ManifestError: If the file is no record.
        """
        path = self.folder(stage) / STAGE_FILE
        try:
            return json.loads(path.read_text(encoding='utf-8'))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ManifestError(f'{path}: no record of a stage ({error})') from error

    def require(self, *stages: str) -> None:
        """Refuse to work on what is not there.

        Raises:
            ManifestError: If one of the stages is not finished.
        """
        for stage in stages:
            if not self.record(stage).get('finished'):
                raise ManifestError(
                    f'{self.folder(stage)}: the stage {stage!r} is not finished, run '
                    'it first'
                )

    def forget(self, stage: str) -> None:
        """Remove what a stage and those behind it have made.

        Args:
            stage: Its name.
        """
        for name in STAGES[STAGES.index(stage) :]:
            shutil.rmtree(self.folder(name), ignore_errors=True)


class StageRecord:
    """What is known of a stage, on disk.

    Args:
        path: Its file.
        values: Its content.
    """

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path, self.values = path, values

    @property
    def finished(self) -> bool:
        """Whether everything is done."""
        return self.values['finished']

    @contextmanager
    def work(self, **values: Any) -> Iterator[dict[str, Any]]:
        """Time the work on a stage and mark it as finished when it ends well.

        Args:
            **values: Also written down, number of processes for example.

        Yields:
            Dictionary whose entries are written down too.
        """
        start, results = time.time(), dict(values)
        try:
            yield results
            results['finished'] = True
        finally:
            self.values.update(results)
            self.values['seconds'] += time.time() - start
            write_json(self.path, self.values)


def before(stage: str) -> Sequence[str]:
    """Stages whose result a stage depends on."""
    return STAGES[: STAGES.index(stage)]


def _fingerprint(settings: Any, earlier: Sequence[str | None]) -> str:
    """Hash everything that the result of a stage depends on."""
    text = json.dumps([settings, earlier], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _difference(old: Any, new: Any, name: str = '') -> str:
    """Say in what two settings differ first."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                below = f'{name}.{key}' if name else key
                return _difference(old.get(key), new.get(key), below)
        return 'an earlier stage was made with other settings'
    return f'made with {name}={old!r}, now it is {new!r}'
