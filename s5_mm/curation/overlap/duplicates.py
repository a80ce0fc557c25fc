"""Near-duplicates inside a selection: pairs, groups, and which crop stays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .code_search import hamming_matches
from .feature_search import keep_one, similar_pairs
from .leakage import MIN_HASH_QUALITY, RADIUS, by_blocks, ground_comparer
from .matches import Pixels

DUPLICATES = pa.schema(
    [('crop_id', pa.uint64()), ('group', pa.int64()), ('kept', pa.bool_())]
)
"""Columns of ``check/duplicates.parquet``."""

MIN_SHARED_GROUND = 0.5
"""Crops that share less ground are worth having both."""


def hash_pairs(
    codes: np.ndarray,
    quality: np.ndarray,
    radius: int = RADIUS,
    min_quality: float = MIN_HASH_QUALITY,
) -> np.ndarray:
    """Find crops whose codes are close, in the orientation that they have.

    Args:
        codes: uint8 (n, 32).
        quality: Of the codes, float32 (n,).
        radius: Bits that may differ.
        min_quality: Crops with less structure are not compared.

    Returns:
        int64, (p, 2), the first row below the second, sorted.
    """
    rows = np.flatnonzero(quality >= min_quality)
    found = hamming_matches(codes[rows], codes[rows], radius)
    pairs = np.stack([rows[found.query], rows[found.pool]], 1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def feature_pairs(
    features: np.ndarray,
    pixels: Pixels,
    min_similarity: float,
    min_overlap: float = MIN_SHARED_GROUND,
    fresh: np.ndarray | None = None,
) -> np.ndarray:
    """Find crops with similar features whose pixels show the same ground.

    Args:
        features: Pooled features of unit length, (n, D).
        pixels: Gives a crop by its row.
        min_similarity: Cosine from which pixels are compared.
        min_overlap: Share of ground that makes a near-duplicate.
        fresh: bool (n,); pairs of crops that are not are known to be none and are left
            out, for their pixels are what takes time.  None: all are.

    Returns:
        int64, (p, 2), the first row below the second, sorted.
    """
    found = similar_pairs(features, min_similarity)
    same = ground_comparer(pixels, pixels, min_overlap=min_overlap)
    pairs = zip(found.second.tolist(), found.first.tolist(), strict=True)
    repeats = [
        (a, b)
        for b, a in sorted(pairs, key=by_blocks)
        if (fresh is None or fresh[a] or fresh[b]) and same(b, a) is not None
    ]
    return np.array(sorted(repeats), np.int64).reshape(-1, 2)


def resolve_duplicates(
    pairs: np.ndarray, entropy: np.ndarray, crop_id: np.ndarray
) -> pa.Table:
    """Decide which near-duplicates stay.

    Args:
        pairs: Near-duplicates, int (p, 2), rows of the other arguments.
        entropy: Of the crops, float32 (n,).
        crop_id: uint64 (n,), unique.

    Returns:
        Rows of :data:`DUPLICATES`: a group is a crop that stays and those that go for
        its sake; groups are numbered by the identifier of the crop that stays.
    """
    kept, stand_in = keep_one(pairs, entropy, crop_id)
    gone = np.flatnonzero(~kept)
    rows = np.concatenate([np.unique(stand_in[gone]), gone])
    _, group = np.unique(crop_id[stand_in[rows]], return_inverse=True)
    order = np.lexsort((crop_id[rows], ~kept[rows], group))
    columns = crop_id[rows][order], group[order].astype(np.int64), kept[rows][order]
    return pa.table(list(columns), schema=DUPLICATES)
