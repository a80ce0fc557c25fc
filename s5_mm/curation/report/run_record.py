"""What the report needs to know of a run beside its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..overlap.provenance import Origin

QUOTA_KEYS = ('wanted', 'available', 'filled', 'redistributed')


@dataclass(frozen=True)
class RunRecord:
    """A finished run as its stage ``report`` knows it.

    Attributes:
        folder: The work directory.
        version: Of the package.
        commit: Of its code; None outside of a git checkout.
        config: Text of the config.
        hashes: SHA-256 by name: ``manifest``, ``sources`` and ``checkpoint``.
        classes: Names of the classes; those that are missing get a number.
        collections: Root of every collection.
        benchmarks: Root of every ``'benchmark/split'`` that the run was compared with.
        crop_size: Side of the crops in pixels.
        stages: A dict per stage: ``stage``, ``seconds``, ``items``, ``workers``.
        quotas: A dict per cluster, in order: ``wanted`` (None where the strategy has no
            quotas), ``available``, ``filled``, ``redistributed`` and ``cut`` (the
            largest entropy that was taken, in nats; None if nothing was).
        labelled: int64, (M,), labelled crops of every cluster (N_m^l of Eq. 3).
        eval_file: Returns the file of an evaluation image.
    """

    folder: Path
    version: str
    commit: str | None
    config: str
    hashes: Mapping[str, str]
    classes: Sequence[str]
    collections: Mapping[str, str]
    benchmarks: Mapping[str, str]
    crop_size: int
    stages: Sequence[Mapping[str, Any]]
    quotas: Sequence[Mapping[str, Any]]
    labelled: np.ndarray
    eval_file: Callable[[Origin], str]

    def identity(self) -> dict[str, Any]:
        """Return the content of ``run.json``: what identifies the run, as JSON."""
        keys = (
            *('version', 'commit', 'config', 'hashes', 'classes', 'collections'),
            *('benchmarks', 'crop_size'),
        )
        return {key: getattr(self, key) for key in keys}

    def cuts(self) -> np.ndarray:
        """Return the largest entropy that was taken in every cluster.

        Returns:
            float32, (M,), as the manifest's entropies; NaN where nothing was taken.
        """
        return np.array([quota['cut'] for quota in self.quotas], np.float32)
