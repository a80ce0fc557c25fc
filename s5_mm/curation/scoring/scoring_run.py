"""Run a segmentor over planned crops through the ordinary test command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from s5_mm.io.processes import die_with_parent

_CONFIG = 'score_config.py'
_LAST_LINES = 30


class ScoringError(RuntimeError):
    """The test command that scores crops has failed; holds its last lines."""


@dataclass(frozen=True)
class Scorer:
    """How crops are scored.

    Attributes:
        config: Config of the scoring pass, ``configs/curation/score_*.py``.
        checkpoint: Checkpoint of the segmentor.
        test_script: ``tools/test.py``.
        num_processes: Processes, one for each GPU; several are started by torch's own
            launcher.
        cfg_options: Settings that take the place of the config's.
        shown: Called for every line of progress that is passed on.
    """

    config: str
    checkpoint: str
    test_script: Path
    num_processes: int = 1
    cfg_options: Mapping[str, Any] | None = None
    shown: Callable[[], None] = lambda: None

    def run(
        self, folder: Path, dataset: Mapping[str, Any], hook: Mapping[str, Any]
    ) -> None:
        """Score crops; what a killed run has scored stays.

        Args:
            folder: Folder that gets the config of the pass and its log.
            dataset: Arguments of :class:`s5_mm.CropStream`.
            hook: Arguments of :class:`s5_mm.PatchScoringHook`.

        Raises:
            FileNotFoundError: If config or checkpoint do not exist.
            ScoringError: If the command fails.
        """
        for key, path in (('config', self.config), ('checkpoint', self.checkpoint)):
            if not os.path.isfile(path):
                raise FileNotFoundError(f'scorer.{key}: {path} does not exist')
        config = Config.fromfile(self.config, format_python_code=False)
        config.merge_from_dict(dict(self.cfg_options or {}))
        config.test_dataloader.dataset.update(dict(dataset))
        config.default_hooks.patch_scoring.update(dict(hook))
        folder.mkdir(parents=True, exist_ok=True)
        config.dump(folder / _CONFIG)
        self._call([folder / _CONFIG, self.checkpoint, '--work-dir', folder / 'log'])

    def _call(self, arguments: list[str | Path]) -> None:
        """Run the command and pass its progress on."""
        command = [sys.executable]
        if self.num_processes > 1:
            command += ['-m', 'torch.distributed.run', '--standalone']
            command += [f'--nproc-per-node={self.num_processes}']
            arguments = [*arguments, '--launcher', 'pytorch']
        command += [str(self.test_script), *map(str, arguments)]
        last: deque[str] = deque(maxlen=_LAST_LINES)
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,
        )
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                if ' Iter(test) ' in line:
                    sys.stderr.write(f'{line.rstrip()}\n')
                    self.shown()
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code:
            why = next((line for line in reversed(last) if line), 'no message')
            raise ScoringError(
                f'{why} (status {code} of {" ".join(command)})',
            )
