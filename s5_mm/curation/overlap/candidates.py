"""Chosen crops with what the check compares: names, codes, features, pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import Parts, read_table
from s5_mm.io.images.fill import SmallPolicy

from ..planning.crops import read_crops
from ..planning.source_files import SourceFiles
from ..scoring.score_parts import feature_file
from ..work_dir import WorkDir
from .matches import Pixels, PoolCrops

_REMEMBERED = 256


class Candidates(NamedTuple):
    """Some crops of a run; rows are crops.

    Attributes:
        pool: Identifiers, sources, codes and features.
        entropy: float32 (n,).
        window: x, y, width, height, int64 (n, 4).
        paths: File of each of the pool's sources.
        reading: ``size``, ``small`` and ``high_byte`` of :func:`crop_reader`.
    """

    pool: PoolCrops
    entropy: np.ndarray
    window: np.ndarray
    paths: Sequence[str]
    reading: Mapping[str, Any]

    def take(self, rows: np.ndarray) -> Candidates:
        """Take some of the crops."""
        pool = self.pool
        features = None if pool.features is None else pool.features[rows]
        return self._replace(
            pool=pool._replace(
                crop_id=pool.crop_id[rows],
                source=pool.source[rows],
                codes=pool.codes[rows],
                quality=pool.quality[rows],
                features=features,
            ),
            entropy=self.entropy[rows],
            window=self.window[rows],
        )

    def pixels(self) -> Pixels:
        """Make a function that reads a crop by its row."""
        return crop_reader(self.paths, self.pool.source, self.window, **self.reading)


def crop_reader(
    paths: Sequence[str],
    sources: np.ndarray,
    windows: np.ndarray,
    size: int,
    small: SmallPolicy,
    high_byte: bool,
) -> Pixels:
    """Make a function that reads crops one by one, and remembers the last ones.

    Args:
        paths: Files.
        sources: File of each crop, int (n,).
        windows: x, y, width, height of each crop, int (n, 4).
        size: Side of a crop in pixels.
        small: What fills crops of small images.
        high_byte: Take the upper byte of 16-bit samples.

    Returns:
        Gives a crop by its row, uint8 (size, size, 3).
    """

    @lru_cache(_REMEMBERED)
    def read(row: int) -> np.ndarray:
        window = windows[row : row + 1]
        (crop,) = read_crops(paths[sources[row]], window, size, small, high_byte)
        return crop

    return read


def read_candidates(
    work: WorkDir,
    crop_ids: np.ndarray,
    sources: SourceFiles,
    with_features: bool,
    reading: Mapping[str, Any],
) -> Candidates:
    """Gather some crops of a run.

    Args:
        work: Directory of the run, scored.
        crop_ids: Their identifiers, uint64, sorted.
        sources: Sources of the plan.
        with_features: Read their features too.
        reading: ``size``, ``small`` and ``high_byte`` of :func:`crop_reader`.

    Returns:
        The crops, in the order of the plan, with the sources that they are of.
    """
    plan, parts = work.folder('plan'), []
    features: list[np.ndarray] = []
    for name in Parts(plan):
        table = read_table(plan / name)
        rows = np.flatnonzero(np.isin(table['crop_id'].to_numpy(), crop_ids))
        if not len(rows):
            continue
        scan = read_table(work.folder('scan') / name, ['phash', 'phash_quality'])
        score = read_table(work.folder('score') / name, ['entropy'])
        for other in (scan, score):
            for column in other.column_names:
                table = table.append_column(column, other[column])
        parts.append(table.take(pa.array(rows)))
        if with_features:
            stored = np.load(feature_file(work.folder('score') / name), mmap_mode='r')
            features.append(np.asarray(stored[rows]))
    table = pa.concat_tables(parts)
    numbers, source = np.unique(table['source'].to_numpy(), return_inverse=True)
    files = [*sources.find(numbers).values()]
    codes = b''.join(table['phash'].to_pylist())
    window = np.stack([table[k].to_numpy() for k in ('x', 'y', 'width', 'height')], 1)
    pool = PoolCrops(
        crop_id=table['crop_id'].to_numpy(),
        source=source,
        sources=[(file.collection, file.name) for file in files],
        codes=np.frombuffer(codes, np.uint8).reshape(-1, 32),
        quality=table['phash_quality'].to_numpy(),
        features=np.concatenate(features) if with_features else None,
    )
    entropy = table['entropy'].to_numpy()
    paths = [file.path for file in files]
    return Candidates(pool, entropy, window.astype(np.int64), paths, reading)
