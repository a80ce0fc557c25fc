"""Matches of crops with images of benchmarks, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from s5_mm.io.crop_tables.run_names import LEAKAGE_POLICIES
from s5_mm.utils.argument_checks import check_choice

from .provenance import Origin

Pixels = Callable[[int], np.ndarray]
"""Gives the pixels of a crop by its row: uint8 (H, W, 3), RGB."""

MATCHES = pa.schema(
    [
        ('crop_id', pa.uint64()),
        ('benchmark', pa.string()),
        ('split', pa.string()),
        ('eval_image', pa.string()),
        ('layer', pa.string()),  # 'provenance', 'hash' or 'features'
        ('distance', pa.float32()),  # 0, bits, or 1 - cosine
        ('correlation', pa.float32()),  # of the pixels; null if not compared
        ('verdict', pa.string()),  # one of LEAKAGE_POLICIES
    ]
)
"""Columns of ``check/matches.parquet``; a crop, an image and a layer occur once."""


class PoolCrops(NamedTuple):
    """Crops that may be selected; rows are crops.

    Attributes:
        crop_id: uint64 (n,).
        source: Number of the crop's source, int32 (n,).
        sources: Collection and path of every source.
        codes: uint8 (n, 32).
        quality: Of the codes, float32 (n,).
        features: Pooled features of unit length, float16 (n, D), or None.
    """

    crop_id: np.ndarray
    source: np.ndarray
    sources: Sequence[tuple[str, str]]
    codes: np.ndarray
    quality: np.ndarray
    features: np.ndarray | None = None


class Policies:
    """What becomes of crops that match.

    Args:
        default: One of :data:`.run_names.LEAKAGE_POLICIES`.
        exceptions: The same for a benchmark, or for ``'benchmark/split'``, which takes
            precedence.

    Raises:
        ValueError: If a policy does not exist.
    """

    def __init__(
        self, default: str = 'drop', exceptions: Mapping[str, str] | None = None
    ) -> None:
        self.default, self.exceptions = default, dict(exceptions or {})
        for name, policy in (('default', default), *self.exceptions.items()):
            check_choice(f'leakage policy {name}', policy, LEAKAGE_POLICIES)

    def __call__(self, benchmark: str, split: str) -> str:
        """Give the policy of a split."""
        by_benchmark = self.exceptions.get(benchmark, self.default)
        return self.exceptions.get(f'{benchmark}/{split}', by_benchmark)


def dropped_crops(matches: pa.Table) -> np.ndarray:
    """List the crops that may not be selected.

    Args:
        matches: Rows of :data:`MATCHES`.

    Returns:
        Identifiers, uint64, sorted, each once.
    """
    drop = np.array(matches['verdict'].to_pylist(), object) == 'drop'
    return np.unique(matches['crop_id'].to_numpy()[drop])


def matches_table(
    pool: PoolCrops,
    rows: Sequence[tuple[int, Origin, float, float | None]],
    layer: str,
    policies: Policies,
) -> pa.Table:
    """Build a table, sorted by crop and origin.

    Args:
        pool: The crops.
        rows: Row of the pool, origin, distance and correlation (None if the pixels were
            not compared) of every match.
        layer: Name of the layer that found them.
        policies: What becomes of them.

    Returns:
        Rows of :data:`MATCHES`.
    """
    ordered = sorted(rows, key=lambda match: (int(pool.crop_id[match[0]]), match[1]))
    columns = [
        [int(pool.crop_id[row]) for row, *_ in ordered],
        *([origin[part] for _, origin, *_ in ordered] for part in range(3)),
        [layer] * len(ordered),
        [distance for _, _, distance, _ in ordered],
        [correlation for *_, correlation in ordered],
        [policies(origin.benchmark, origin.split) for _, origin, *_ in ordered],
    ]
    arrays = [
        pa.array(column, kind.type)
        for column, kind in zip(columns, MATCHES, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=MATCHES)
