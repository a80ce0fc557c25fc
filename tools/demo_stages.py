"""The trainings of the demo and the settings of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from s5_mm.cli.config import load_config
from s5_mm.io.hashing import file_sha256

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


class Stage(NamedTuple):
    """One training of the demo.

    Attributes:
        name: Name of its config and of its folder.
        title: What it is called in the tables.
        start: Name of the stage whose model it starts from, '' for a random start.
    """

    name: str
    title: str
    start: str

    @property
    def config(self) -> Path:
        """Its config."""
        return CONFIGS / 'demo' / f'{self.name}.py'


STAGES = (
    Stage('warm_start', 'initial model', ''),
    Stage('supervised', 'supervised-only', 'warm_start'),
    Stage('fixmatch', 'FixMatch (S4P)', 'warm_start'),
)


@dataclass(frozen=True)
class StageSettings:
    """What the stages of one demo are trained with, and where their models are.

    Attributes:
        work_dir: Directory of the demo, with a folder for every stage.
        iters: Iterations of the initial model and of what continues it.
        seed: Seed of the trainings.
    """

    work_dir: Path
    iters: Sequence[int]
    seed: int

    @property
    def data(self) -> Path:
        """Folder of the scenes."""
        return self.work_dir / 'data'

    @property
    def curation(self) -> Path:
        """Folder of the choice of unlabelled scenes."""
        return self.work_dir / 'curation'

    def iterations(self, stage: Stage) -> int:
        """Number of iterations of a stage."""
        return self.iters[0 if not stage.start else 1]

    def checkpoint(self, stage: Stage) -> Path:
        """The last checkpoint of a stage."""
        return self.work_dir / stage.name / f'iter_{self.iterations(stage)}.pth'

    def options(self, stage: Stage) -> dict[str, Any]:
        """Settings that override those of the stage's config."""
        iters = self.iterations(stage)
        rise, quarter = min(30, iters // 2), max(iters // 4, 1)
        options: dict[str, Any] = {
            'data_root': f'{self.data}/',
            'randomness.seed': self.seed,
            'train_cfg.max_iters': iters,
            'train_cfg.val_interval': quarter,
            'default_hooks.logger.interval': min(25, quarter),
            'param_scheduler.0.end': rise,
            'param_scheduler.1.begin': rise,
            'param_scheduler.1.end': iters,
            'param_scheduler.1.T_max': iters - rise,
        }
        if stage.start:
            start = next(other for other in STAGES if other.name == stage.start)
            options['load_from'] = str(self.checkpoint(start))
        if stage.name == 'fixmatch':
            unlabelled = 'train_dataloader.dataset.sources.unsup'
            options[f'{unlabelled}.shards'] = str(self.curation / 'shards')
            options[f'{unlabelled}.data_dir'] = None
            options['custom_hooks.0.interval'] = min(25, quarter)
            options['custom_hooks.1.interval'] = quarter
        return options

    def fingerprint(self, stage: Stage, before: str) -> str:
        """Identify everything that the result of a stage depends on.

        Args:
            stage: The stage.  The scenes are drawn, for FixMatch also chosen.
            before: Fingerprint of the stage whose model it starts from, or ''.

        Returns:
            SHA-256 in hexadecimal digits.
        """
        cfg = load_config(str(stage.config), self.options(stage))
        stamp = (self.data / 'dataset.json').read_text(encoding='utf-8')
        manifest = self.curation / 'manifest.parquet'
        choice = file_sha256(manifest) if stage.name == 'fixmatch' else ''
        text = '\n'.join([cfg.pretty_text, stamp, before, choice])
        return hashlib.sha256(text.encode()).hexdigest()


def pairs(options: Mapping[str, Any]) -> list[str]:
    """Write settings as arguments of ``--cfg-options``."""
    return [f'{key}={value}' for key, value in options.items()]
