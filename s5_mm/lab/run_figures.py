"""The validation figures of one run, and what makes it comparable with others."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from s5_mm.visualization import read_scalars

#: Keys of a data set that say which images it has.
_DATA_KEYS = ('data_root', 'data_prefix', 'data_dir', 'ann_file', 'shards', 'indices')
NETWORKS = ('student', 'teacher')


@dataclass(frozen=True)
class RunFigures:
    """Validation figures of one run.

    Attributes:
        arm: Name of the method.
        path: Work directory.
        seed: Seed of the run, None if its config names none.
        split: Labelled images that it trains on, as text.
        test_set: Images that it is validated on, as text.
        max_iters: Length of the training in iterations, None if it is not known.
        values: Figures by key and iteration, e.g. ``values['mIoU'][200]``.
        error: What stopped the run, '' if nothing did.
        seconds: Wall time of the training, 0 if it is not known.
        environment: Commit, machine and versions that the run was made with.
    """

    arm: str
    path: str
    seed: int | None = None
    split: str = ''
    test_set: str = ''
    max_iters: int | None = None
    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    error: str = ''
    seconds: float = 0.0
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pair(self) -> tuple[int | None, str]:
        """What the run shares with those that it is paired with: seed and split."""
        return self.seed, self.split

    def last_step(self, key: str) -> int | None:
        """Iteration of the last figure of a key, None if there is none."""
        return max(self.values.get(key, ()), default=None)

    def last(self, key: str) -> float:
        """Figure of the last checkpoint, NaN if there is none."""
        step = self.last_step(key)
        return math.nan if step is None else self.values[key][step]

    def best(self, key: str) -> tuple[float, int]:
        """Highest figure of the run, and the first iteration that has it."""
        steps = self.values.get(key) or {0: math.nan}
        step = max(
            steps, key=lambda one: (not math.isnan(steps[one]), steps[one], -one)
        )
        return steps[step], step

    def problem(self, key: str) -> str:
        """Say why the run has no reportable figure, '' if it has one.

        Args:
            key: Metric.

        Returns:
            One phrase.
        """
        if self.error:
            return self.error
        step = self.last_step(key)
        if step is None:
            return f'no {key} in its scalars'
        if self.max_iters is not None and step < self.max_iters:
            return f'unfinished, validated at {step} of {self.max_iters} iterations'
        if not math.isfinite(self.last(key)):
            return f'its last {key} is {self.last(key)}'
        return ''

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON, None for figures that are not finite."""
        record = dataclasses.asdict(self)
        for steps in record['values'].values():
            for step, value in steps.items():
                steps[step] = value if math.isfinite(value) else None
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> RunFigures:
        """Build it from what :meth:`to_dict` has returned, also by way of JSON.

        Args:
            record: The values.

        Raises:
            TypeError: If a key is missing or unknown.
        """
        values = {
            key: {
                int(step): math.nan if value is None else float(value)
                for step, value in steps.items()
            }
            for key, steps in record['values'].items()
        }
        return cls(**{**record, 'values': values})


def read_run(path: str | Path, arm: str, metric: str = 'mIoU') -> RunFigures:
    """Read the figures of a work directory.

    Args:
        path: Work directory of ``tools/train.py``.
        arm: Name of the method.
        metric: Key that every validation logs; keys logged with it are read as well.

    Returns:
        The figures; empty if nothing was validated.

    Raises:
        FileNotFoundError: If the folder has no scalars or no config of a run.
    """
    values = read_values(path, metric)
    files = sorted(Path(path).rglob('vis_data/config.py'))
    if not files:
        raise FileNotFoundError(
            f'{path}: no vis_data/config.py there, which names seed, split and length; '
            'expected is the work directory of a run'
        )
    cfg = Config.fromfile(files[-1])
    return RunFigures(arm, str(path), values=values, **identity(cfg))


def read_values(path: str | Path, metric: str = 'mIoU') -> dict[str, dict[int, float]]:
    """Read what every validation of a run has logged.

    Args:
        path: As of :func:`read_run`.
        metric: As of :func:`read_run`.

    Returns:
        Figures by key and iteration.

    Raises:
        FileNotFoundError: If the folder has no scalars.
    """
    series = read_scalars(path)
    steps = set(series.get(metric, ()))
    return {
        key: values
        for key, values in series.items()
        if steps and set(values) == steps and key not in ('time', 'data_time')
    }


def identity(cfg: Config) -> dict[str, Any]:
    """Return what must agree between runs that are compared.

    Args:
        cfg: Config of a run.

    Returns:
        ``seed``, ``split``, ``test_set`` and ``max_iters`` of :class:`RunFigures`.
    """
    train = cfg.train_dataloader.dataset
    labelled = train.get('sources', {})
    labelled = labelled.get('sup', train) if isinstance(labelled, dict) else train
    return dict(
        seed=(cfg.get('randomness') or {}).get('seed'),
        split='; '.join(_images(labelled)),
        test_set='; '.join(_images(cfg.val_dataloader.dataset)),
        max_iters=cfg.train_cfg.get('max_iters'),
    )


def _images(dataset: Mapping[str, Any]) -> Iterator[str]:
    """Say which images the data sets of a config have; where they are is left out."""
    parts = dataset.get('sources') or dataset.get('datasets') or ()
    for part in parts.values() if isinstance(parts, dict) else parts:
        yield from _images(part)
    words = []
    for key in _DATA_KEYS:
        value = dataset.get(key)
        if value is None or value == '':
            continue
        if key == 'data_root':
            value = Path(value).name
        elif key == 'ann_file' and Path(value).is_absolute():
            value = Path(*Path(value).parts[-3:])  # DATA_SET/SEED/LIST
        elif isinstance(value, dict):
            value = ' '.join(map(str, value.values()))
        words.append(f'{key} {value}' if key == 'indices' else str(value))
    if words:
        yield ' '.join(words)
