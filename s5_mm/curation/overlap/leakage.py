"""Which crops of the pool show ground that a benchmark tests on: three layers.

Provenance knows what names tell, perceptual hashes find copies of whole crops at any
size, orientation and compression, and features find the rest, of which the pixels are
then laid over each other.  What becomes of a match is a policy of its benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa

from .code_search import hamming_matches
from .eval_crops import EvalCrops, hash_eval_crop
from .feature_search import similar_rows
from .ground_alignment import (
    MIN_CORRELATION,
    MIN_OVERLAP,
    Alignment,
    KeyPoints,
    find_key_points,
    same_ground,
)
from .matches import Pixels, Policies, PoolCrops, matches_table
from .provenance import Provenance

RADIUS = 31
"""Bits in which copies may differ.  Measured with
``benchmark_leakage.py`` of commit 89f9410 on 380 real 256-px tiles with structure:
99.5 % are found after JPEG 30, 99.2 to 100 % after any change of scale, orientation or
brightness by 30 %, 94.7 % after the worst combination (half size, darker by 30 %,
turned, JPEG 30); features find those.  None of 108,000 unrelated pairs match; the
closest differ in 86 bits.  Crops that share only half of the ground are not found."""
SURE_RADIUS = 64
"""Bits in which copies may differ whose features are similar already.  Small copies
that are dark or overexposed and compressed lose the key points of some; with this 60 of
60 are confirmed (docs/lab/results.md)."""
MIN_HASH_QUALITY = 0.1
"""Codes of evaluation crops with less structure are noise and are not compared: 3 of
724 tiles.  Crops of the pool need half of it, for a copy that is darker and smaller has
less structure than its original."""

# Crops of a side whose key points are kept, about 0.3 MB each.
_REMEMBERED = 256


def match_names(
    pool: PoolCrops, provenance: Provenance, policies: Policies
) -> pa.Table:
    """First layer: what the names of the sources tell.

    Args:
        pool: The crops.
        provenance: Rules and protected images.
        policies: What becomes of a match.

    Returns:
        Rows of :data:`s5_mm.curation.overlap.matches.MATCHES`.
    """
    of_source = {
        number: origins
        for number, (collection, path) in enumerate(pool.sources)
        if (origins := provenance.origins(collection, path))
    }
    rows = [
        (row, origin, 0.0, None)
        for row in np.flatnonzero(np.isin(pool.source, list(of_source))).tolist()
        for origin in of_source[int(pool.source[row])]
    ]
    return matches_table(pool, rows, 'provenance', policies)


def match_hashes(
    pool: PoolCrops,
    evals: EvalCrops,
    policies: Policies,
    radius: int = RADIUS,
    min_quality: float = MIN_HASH_QUALITY,
) -> pa.Table:
    """Second layer: perceptual hashes.

    Args:
        pool: The crops.
        evals: Crops of the benchmarks.
        policies: What becomes of a match.
        radius: Bits in which copies may differ.
        min_quality: Crops of the benchmarks with less structure are not compared, nor
            crops of the pool with less than half of it.

    Returns:
        Rows of :data:`s5_mm.curation.overlap.matches.MATCHES`; the closest pair of a
        crop and an image.
    """
    rows = np.flatnonzero(pool.quality >= min_quality / 2)
    own = np.flatnonzero(evals.quality >= min_quality)
    variants = evals.codes.shape[1]
    queries = evals.codes[own].reshape(-1, evals.codes.shape[2])
    # A symmetrical crop has equal codes; they are looked up once.
    queries, codes = np.unique(queries, axis=0, return_inverse=True)
    found = hamming_matches(pool.codes[rows], queries, radius)
    order = np.argsort(codes.ravel(), kind='stable')
    starts = np.searchsorted(codes.ravel()[order], np.arange(len(queries) + 1))
    closest: dict[tuple[int, int], int] = {}
    for row, query, bits in zip(*(part.tolist() for part in found), strict=True):
        for place in order[starts[query] : starts[query + 1]].tolist():
            image = int(evals.image[own[place // variants]])
            pair = int(rows[row]), image
            closest[pair] = min(bits, closest.get(pair, bits))
    matches = [
        (row, evals.origins[image], float(bits), None)
        for (row, image), bits in closest.items()
    ]
    return matches_table(pool, matches, 'hash', policies)


def match_features(
    pool: PoolCrops,
    evals: EvalCrops,
    policies: Policies,
    pool_pixels: Pixels,
    eval_pixels: Pixels,
    min_similarity: float,
    min_correlation: float = MIN_CORRELATION,
    min_overlap: float = MIN_OVERLAP,
) -> pa.Table:
    """Third layer: similar features, confirmed by the pixels or by codes not too far.

    Args:
        pool: The crops, with features.
        evals: Crops of the benchmarks, with features.
        policies: What becomes of a match.
        pool_pixels: Gives a crop of the pool.
        eval_pixels: Gives a crop of the benchmarks.
        min_similarity: Cosine from which pixels are compared.  It depends on the
            backbone and decides what this costs, not what is a match.
        min_correlation: See :func:`.ground_alignment.same_ground`.
        min_overlap: See there.

    Returns:
        Rows of :data:`s5_mm.curation.overlap.matches.MATCHES`; the best confirmed
        pair of a crop and an image, without correlation where its codes confirm it.

    Raises:
        ValueError: If features are missing, or as
            :func:`s5_mm.curation.overlap.feature_search.similar_rows`.
    """
    if pool.features is None or evals.features is None:
        raise ValueError('the layer of features needs features of pool and benchmarks')
    turns = evals.features.shape[1]
    flat = evals.features.reshape(-1, evals.features.shape[2])
    found = similar_rows(flat, pool.features, min_similarity)
    best: dict[tuple[int, int], float] = {}
    for query, row, cosine in zip(*(part.tolist() for part in found), strict=True):
        pair = row, query // turns
        best[pair] = max(cosine, best.get(pair, cosine))
    compare = ground_comparer(
        pool_pixels,
        eval_pixels,
        min_correlation=min_correlation,
        min_overlap=min_overlap,
    )
    same_code = _code_comparer(pool, eval_pixels)
    matches: dict[tuple[int, int], tuple[float, float]] = {}
    for row, crop in sorted(best, key=by_blocks):
        alignment = compare(row, crop)
        if alignment is None and not same_code(row, crop):
            continue
        pair = row, int(evals.image[crop])
        value = (alignment.correlation if alignment else -1.0), 1 - best[row, crop]
        matches[pair] = max(value, matches.get(pair, value))
    rows = [
        (row, evals.origins[image], distance, None if correlation < 0 else correlation)
        for (row, image), (correlation, distance) in matches.items()
    ]
    return matches_table(pool, rows, 'features', policies)


def _code_comparer(pool: PoolCrops, evals: Pixels) -> Callable[[int, int], bool]:
    """Make a function that tells of a pair of rows whether their codes are close."""

    @lru_cache(1)  # pairs of a block come by crop of the benchmarks
    def of_benchmark(crop: int) -> tuple[np.ndarray, float]:
        return hash_eval_crop(evals(crop))

    def close(row: int, crop: int) -> bool:
        codes, quality = of_benchmark(crop)
        if quality < MIN_HASH_QUALITY or pool.quality[row] < MIN_HASH_QUALITY / 2:
            return False
        return close_codes(codes, pool.codes[row])

    return close


def close_codes(codes: np.ndarray, code: np.ndarray, radius: int = SURE_RADIUS) -> bool:
    """Tell whether a code is near any variant of a crop of a benchmark.

    Args:
        codes: uint8, (V, 32), see :func:`.eval_crops.hash_eval_crop`.
        code: uint8, (32,).
        radius: Bits in which they may differ.

    Returns:
        Whether one is within the radius.
    """
    return int(np.unpackbits(codes ^ code, axis=1).sum(1).min()) <= radius


def ground_comparer(
    first: Pixels, second: Pixels, **thresholds: float
) -> Callable[[int, int], Alignment | None]:
    """Make a function that compares crops by their rows.

    Args:
        first: Gives the crops of one side.
        second: Gives the crops of the other side.
        thresholds: Of :func:`.ground_alignment.same_ground`.

    Returns:
        Takes a row of each side; key points of the last 256 crops are remembered.
    """

    @lru_cache(_REMEMBERED)
    def of_first(row: int) -> KeyPoints:
        return find_key_points(first(row))

    @lru_cache(_REMEMBERED)
    def of_second(row: int) -> tuple[KeyPoints, KeyPoints]:
        crop = second(row)
        mirrored = np.ascontiguousarray(np.fliplr(crop))
        return find_key_points(crop), find_key_points(mirrored)

    def compare(a: int, b: int) -> Alignment | None:
        plain, mirrored = of_second(b)
        return same_ground(of_first(a), plain, mirrored, **thresholds)

    return compare


def by_blocks(pair: tuple[int, int]) -> tuple[int, int, int, int]:
    """Order pairs so that a comparer still remembers both sides: a key to sort by.

    Args:
        pair: Rows of the first and of the second side.

    Returns:
        The block of both, then the pair, the second side first.
    """
    first, second = pair
    return first // _REMEMBERED, second // _REMEMBERED, second, first
