"""Stage ``scan``: look at every crop once, without a model.

Hashes that name the pixels, a perceptual hash, figures of quality, and the verdict of
the quality gate.  It comes before any ranking because a tile without content is the
most confident background there is, has an entropy near 0 and would be chosen first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.parquet import read_table, write_table
from s5_mm.io.hashing import hash_file, hash_pixels
from s5_mm.io.images.fill import SmallPolicy
from s5_mm.io.images.header import ImageError

from ..overlap.perceptual_hash import perceptual_hash
from ..planning.crops import read_crops
from ..planning.source_files import PlannedSource, SourceFiles
from .quality import QUALITY_COLUMNS, measure_quality
from .quality_gate import QualityGate

_HASHES = {
    'source_sha256': pa.binary(32),
    'pixel_hash': pa.binary(16),
    'phash': pa.binary(32),
    'phash_quality': pa.float32(),
}
QUALITY = pa.schema(
    [
        ('crop_id', pa.uint64()),
        *_HASHES.items(),
        *((name, pa.float32()) for name in QUALITY_COLUMNS),
        ('rejected', pa.string()),  # '' = passed the gate
        ('problem', pa.string()),  # what is wrong with an unreadable source
    ]
)
"""Columns of ``scan/part-*.parquet``; null where a crop could not be read."""


@dataclass(frozen=True)
class PartScanner:
    """Scans a part of a plan; picklable.

    Attributes:
        plan: Folder of the plan.
        out: Folder of the result.
        sources: Its sources.
        size: Side of a crop in pixels.
        small: What fills crops of small images.
        high_byte: Take the upper byte of 16-bit samples.
        gate: The quality gate.
    """

    plan: Path
    out: Path
    sources: SourceFiles
    size: int
    small: SmallPolicy
    high_byte: bool
    gate: QualityGate

    def __call__(self, name: str) -> int:
        """Scan a part and write what was found.

        Args:
            name: File name of the part.

        Returns:
            Number of crops.

        Raises:
            ManifestError: If a source has vanished or changed.
            OSError: If the result cannot be written.
        """
        crops = read_table(self.plan / name)
        rows: list[tuple[Any, ...]] = []
        files = self.sources.find(crops['source'].to_numpy())
        for source, windows in _by_source(crops):
            rows += self._scan_source(files[source], windows)
        columns = [list(column) for column in zip(*rows, strict=True)]
        figures = dict(zip(QUALITY_COLUMNS, columns[len(_HASHES) :], strict=False))
        numbers = {key: np.array(values, np.float32) for key, values in figures.items()}
        unreadable = np.array([problem != '' for problem in columns[-1]])
        rejected = self.gate.reasons(numbers, unreadable)
        table = pa.table(
            [crops['crop_id'], *columns[:-1], rejected.tolist(), columns[-1]], QUALITY
        )
        write_table(self.out / name, table)
        return len(table)

    def _scan_source(
        self, source: PlannedSource, windows: np.ndarray
    ) -> list[tuple[Any, ...]]:
        """Give a row, without its identifier, for every crop of a source."""
        source.check_unchanged()
        path, digest = source.path, hash_file(source.path)
        rows: list[tuple[Any, ...]] = []
        try:
            for window, crop in zip(
                windows,
                read_crops(path, windows, self.size, self.small, self.high_byte),
                strict=True,
            ):
                code, quality = perceptual_hash(crop)
                figures = measure_quality(crop, *window[2:].tolist())
                rows.append((digest, hash_pixels(crop), code, quality, *figures, ''))
        except ImageError as error:
            empty = (None,) * (len(_HASHES) - 1 + len(QUALITY_COLUMNS))
            # The rows above the damage are not trusted either.
            rows = [(digest, *empty, error.reason)] * len(windows)
        return rows


def _by_source(crops: pa.Table) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the sources of a part with their windows, int64 (n, 4)."""
    columns = ('x', 'y', 'width', 'height')
    windows = np.stack([crops[name].to_numpy() for name in columns], 1)
    sources = crops['source'].to_numpy()
    start = 0
    for source, group in groupby(sources.tolist()):
        stop = start + sum(1 for _ in group)
        yield source, windows[start:stop].astype(np.int64)
        start = stop
