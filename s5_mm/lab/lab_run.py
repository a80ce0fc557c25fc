"""One run of a grid, in a folder that says what it was made with."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from s5_mm.cli.config_text import differences
from s5_mm.io.atomic import write_json
from s5_mm.io.hashing import file_sha256
from s5_mm.utils.commit import checkout_commit

from .grid import CONFIGS, TAKEN, fill
from .inputs import list_files
from .run_figures import RunFigures, identity, read_values

_RECORD, _LOG = 'lab.json', 'train.log'
_TRACEBACK = re.compile(r' \(traceback: .*\)$')
_PROGRESS = re.compile(r'Iter\(train\) +\[ *(\d+)/(\d+)\]')


class LabRun:
    """A run: its config, its folder and how far it is.

    Args:
        arm: Name of the arm.
        seed: Its seed.
        cfg: Its config.
        lab: Folder of the lab; the run is in ``ARM/seed_SEED`` of it.
        data: Folder of the data, which may move between two starts.

    Attributes:
        folder: Work directory.
        log: Output of the training.
        record: What is known of earlier starts.
    """

    def __init__(self, arm: str, seed: int, cfg: Config, lab: Path, data: str) -> None:
        self.arm, self.seed, self.cfg = arm, seed, cfg
        self.folder = lab / arm / f'seed_{seed}'
        self.config_file = lab / TAKEN / arm / f'seed_{seed}.py'
        self.log = self.folder / _LOG
        # Where data and configs are makes no difference to a run.
        self._words = {str(data): '{data}', str(CONFIGS): '{configs}', f'{lab}/': ''}
        file = self.folder / _RECORD
        self.record: dict[str, Any] = {'seconds': 0.0, 'finished': False, 'error': ''}
        if file.is_file():
            self.record |= json.loads(file.read_text(encoding='utf-8'))
        self.settings = self._settings()

    @property
    def finished(self) -> bool:
        """Whether an earlier start has reached the end."""
        return self.record['finished']

    def _settings(self) -> dict[str, Any]:
        """All that the result depends on, as values of JSON."""
        settings = self.cfg.to_dict()
        settings.pop('work_dir')
        files = {path: file_sha256(path) for path in list_files(settings)}
        settings = fill(dict(config=settings, files=files), self._words)
        settings['files'] = fill_keys(settings['files'], self._words)
        return json.loads(json.dumps(settings, default=str))

    def change(self) -> str:
        """Name a setting in which an earlier start in the folder differs.

        Returns:
            One phrase, '' if there was no earlier start or none differs.
        """
        if not self.folder.exists():
            return ''
        if 'settings' not in self.record:
            return f'{self.folder} has no {_RECORD} and is no run of a lab'
        earlier = self.record['settings']
        for key in differences(earlier, self.settings):
            name = key.removeprefix('config.')
            before, now = _at(earlier, key), _at(self.settings, key)
            return f'{self.folder} was made with {name}={before}, now it is {now}'
        return ''

    def prepare(self) -> list[str]:
        """Write the config and the record.

        Returns:
            Arguments of ``tools/train.py``; they resume a run that was cut off.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.cfg.work_dir = os.fspath(self.folder)
        self.cfg.dump(self.config_file)
        self._remember(settings=self.settings, error='unfinished')
        arguments = [str(self.config_file), '--work-dir', str(self.folder)]
        last = self.folder / 'last_checkpoint'
        if not last.is_file():
            return arguments
        # It has a full path: of the folder that this one was moved or copied from.
        checkpoint = self.folder / Path(last.read_text(encoding='utf-8')).name
        last.write_text(str(checkpoint), encoding='utf-8')
        return [*arguments, '--resume']

    def end(self, status: int | None, seconds: float) -> None:
        """Write down how a start has ended.

        Args:
            status: Exit status of the training, None if it was told to stop.
            seconds: Wall time of the start.
        """
        if status is None:
            error = 'unfinished'
        else:
            error = self._last_line(status) if status else ''
        self._remember(
            error=error,
            finished=status == 0,
            seconds=self.record['seconds'] + seconds,
            environment=environment(),
        )

    def _remember(self, **values: Any) -> None:
        self.record.update(values)
        write_json(self.folder / _RECORD, self.record)

    def _last_line(self, status: int) -> str:
        """What the training said last, its own line of the error if there is one."""
        lines = [line.strip() for line in _tail(self.log).splitlines() if line.strip()]
        own = [line for line in lines if line.startswith('train.py: ')]
        text = (own or lines or ['no output'])[-1].removeprefix('train.py: ')
        text = fill(_TRACEBACK.sub('', text), self._words)
        return f'failed with status {status}: {text}'

    def progress(self) -> float:
        """Share of the iterations that its log shows, 0 to 1."""
        found = _PROGRESS.findall(_tail(self.log)) if self.log.is_file() else []
        return int(found[-1][0]) / int(found[-1][1]) if found else 0.0

    def figures(self) -> RunFigures:
        """Read its figures, as far as there are any."""
        try:
            values = read_values(self.folder)
        except FileNotFoundError:  # stopped before its first line of the log
            values = {}
        return RunFigures(
            arm=self.arm,
            path=f'{self.arm}/{self.folder.name}',
            values=values,
            error=self.record['error'] or ('' if self.finished else 'not started'),
            seconds=round(self.record['seconds'], 1),
            environment=self.record.get('environment', {}),
            **identity(self.cfg),
        )


def environment() -> dict[str, Any]:
    """Return commit, machine and versions of a run that is made now."""
    return dict(
        commit=checkout_commit(mark_changes=True),
        machine=f'{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs',
        python=platform.python_version(),
        torch=torch.__version__,
    )


def fill_keys(node: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Replace words in the keys of a dictionary, see :func:`fill`."""
    return {str(fill(key, words)): value for key, value in node.items()}


def _at(tree: Any, key: str) -> Any:
    """Value at a dotted key, whose parts may have dots; 'missing' if there is none."""
    if not key:
        return tree
    if isinstance(tree, list):
        tree = {str(index): child for index, child in enumerate(tree)}
    for part, child in tree.items() if isinstance(tree, dict) else ():
        if key == part or key.startswith(f'{part}.'):
            found = _at(child, key[len(part) + 1 :])
            if found != 'missing':
                return found
    return 'missing'


def _tail(path: Path, size: int = 1 << 14) -> str:
    """Read the end of a file."""
    with path.open('rb') as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - size, 0))
        return file.read().decode(errors='replace')
