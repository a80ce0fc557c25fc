"""What a run wrote down of itself beside the manifest; every part may be missing."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from s5_mm.io.crop_tables.run_names import (
    PROTOTYPES_FILE,
    QUOTAS_FILE,
    RUN_FILE,
    STAGES_FILE,
)

_NUMBER = (int, float)
_TEXT_OR_NONE = (str, type(None))
_RUN_KEYS: dict[str, tuple[type, ...]] = {
    'version': _TEXT_OR_NONE,
    'commit': _TEXT_OR_NONE,
    'config': (str,),
    'hashes': (dict,),
    'classes': (list,),
    'collections': (dict,),
    'benchmarks': (dict,),
    'crop_size': (int,),
}
_STAGE_KEYS: dict[str, tuple[type, ...]] = {
    'stage': (str,),
    'seconds': _NUMBER,
    'items': (int,),
    'workers': (int,),
}
QUOTA_KEYS = ('wanted', 'available', 'filled', 'redistributed')
_QUOTA_KEYS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(QUOTA_KEYS, _NUMBER),
    'wanted': (*_NUMBER, type(None)),
    'cut': (*_NUMBER, type(None)),
}


class ReportError(ValueError):
    """A file of a run that cannot be reported; names the file and the key."""


@dataclass(frozen=True)
class RunRecord:
    """The small files of a work directory.

    Attributes:
        folder: The work directory.
        run: ``run.json``, with any of the keys ``version`` (of the package),
            ``commit``, ``config`` (its text), ``hashes`` (by name), ``classes``,
            ``collections`` and ``benchmarks`` (roots by name), ``crop_size``.
        stages: ``stages.json``, a dict a stage: ``stage``, ``seconds``, ``items``,
            ``workers``.
        quotas: ``check/quotas.json``, a dict a cluster: ``wanted`` (None where the
            strategy has no quotas), ``available``, ``filled``, ``redistributed`` and
            ``cut`` (the largest entropy that was taken, in nats; None if nothing was).
        labelled: int64, (M,), labelled crops of every cluster (N_m^l of Eq. 3), or
            None without prototypes.
    """

    folder: Path
    run: dict[str, Any] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    quotas: list[dict[str, Any]] = field(default_factory=list)
    labelled: np.ndarray | None = None

    @property
    def num_clusters(self) -> int:
        """Number of clusters that are known without the manifest."""
        labelled = 0 if self.labelled is None else len(self.labelled)
        return max(labelled, len(self.quotas))

    def cuts(self, num_clusters: int) -> np.ndarray:
        """Largest entropy that was taken in every cluster.

        Args:
            num_clusters: M.

        Returns:
            float32, (M,), as the manifest's entropies; NaN where nothing was taken.
        """
        cuts = np.full(num_clusters, np.nan, np.float32)
        for cluster, quota in enumerate(self.quotas):
            if quota.get('cut') is not None:
                cuts[cluster] = quota['cut']
        return cuts


def read_run_record(folder: str | os.PathLike[str]) -> RunRecord:
    """Read the small files of a work directory.

    Args:
        folder: The work directory.

    Returns:
        What was found.

    Raises:
        ReportError: If a file is there and is not what it should be.
    """
    folder = Path(folder)
    run = _read_json(folder / RUN_FILE, dict, {})
    _check(folder / RUN_FILE, run, _RUN_KEYS, required=False)
    for key in ('hashes', 'collections', 'benchmarks'):
        entries = run.get(key, {})
        _check(folder / RUN_FILE, entries, dict.fromkeys(entries, (str,)), where=key)
    for number, name in enumerate(run.get('classes', ())):
        _check(
            folder / RUN_FILE, {'name': name}, {'name': (str,)}, f'classes[{number}]'
        )
    stages = _read_json(folder / STAGES_FILE, list, [])
    for number, stage in enumerate(stages):
        _check(folder / STAGES_FILE, stage, _STAGE_KEYS, f'[{number}]')
    return RunRecord(
        folder,
        run,
        stages,
        _read_quotas(folder / 'check' / QUOTAS_FILE),
        _read_counts(folder / 'cluster' / PROTOTYPES_FILE),
    )


def _read_quotas(path: Path) -> list[dict[str, Any]]:
    """Read the quotas, a list."""
    found = _read_json(path, list, [])
    for number, quota in enumerate(found):
        _check(path, quota, _QUOTA_KEYS, f'[{number}]')
        if quota.get('cluster', number) != number:
            raise ReportError(
                f'{path}: [{number}] is cluster {quota["cluster"]!r}, expected '
                f'{number}; the clusters must be in order'
            )
    return found


def _read_counts(path: Path) -> np.ndarray | None:
    """Read how many labelled crops every cluster has."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            counts = file['counts']
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ReportError(f'{path}: no prototypes with counts ({error})') from error
    if counts.ndim != 1 or counts.dtype.kind not in 'iu':
        raise ReportError(
            f'{path}: counts is {counts.dtype} of shape {counts.shape}, expected whole '
            'numbers of shape (M,)'
        )
    return counts


def _read_json(path: Path, kind: type, missing: Any) -> Any:
    """Read a JSON file, or give what stands for a missing one."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return missing
    except ValueError as error:
        raise ReportError(f'{path}: no JSON ({error})') from error
    if not isinstance(content, kind):
        raise ReportError(
            f'{path}: {type(content).__name__} found, expected {kind.__name__}'
        )
    return content


def _check(
    path: Path,
    found: Any,
    expected: dict[str, tuple[type, ...]],
    where: str = '',
    required: bool = True,
) -> None:
    """Refuse an object with a missing key or a value of a wrong type."""
    if not isinstance(found, dict):
        raise ReportError(
            f'{path}: {where} is {type(found).__name__}, expected an object'
        )
    for key, kinds in expected.items():
        if key not in found and not required:
            continue
        value = found.get(key, ...)
        # True is an int for isinstance, and no number for anyone else.
        if not isinstance(value, kinds) or isinstance(value, bool):
            what = 'is missing' if value is ... else f'is {value!r}'
            allowed = ' or '.join(kind.__name__ for kind in kinds)
            name = f'{where}.{key}' if where else key
            raise ReportError(f'{path}: {name} {what}, expected {allowed}')
