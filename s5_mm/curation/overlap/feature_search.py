"""Neighbours among pooled features, and which of several near-duplicates stays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from s5_mm.utils.argument_checks import check_number

from .._faiss import faiss

# Rows of a tile.  Tiles start at multiples of it, so that what a pair's product is
# rounded to does not depend on what it is computed together with.
_TILE = 4096


class Neighbours(NamedTuple):
    """Pairs of similar rows, sorted by ``first``, then by ``second``.

    Attributes:
        first: int64 (n,).
        second: int64 (n,).
        similarity: Cosines, float32 (n,).
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray


def similar_rows(
    first: np.ndarray, second: np.ndarray, min_similarity: float
) -> Neighbours:
    """Find all pairs of rows of two tables that are similar.

    Args:
        first: Features of unit length, float16 or float32 (n, D); a memory map is read
            tile by tile.
        second: The same, (m, D).
        min_similarity: Smallest cosine, above -1, up to 1.

    Returns:
        The pairs.

    Raises:
        ValueError: If the features do not fit or are not of unit length.
    """
    _check(first, second, min_similarity)
    return _search(first, second, min_similarity, same=False)


def similar_pairs(features: np.ndarray, min_similarity: float) -> Neighbours:
    """Find all pairs of similar rows of one table, each once.

    Args:
        features: As for :func:`similar_rows`.
        min_similarity: Smallest cosine.

    Returns:
        The pairs, ``first`` below ``second``.

    Raises:
        ValueError: As :func:`similar_rows`.
    """
    _check(features, features, min_similarity)
    return _search(features, features, min_similarity, same=True)


def keep_one(
    pairs: np.ndarray, entropy: np.ndarray, key: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose which near-duplicates stay: lowest entropy first, then smallest key.

    A crop goes only if it is a near-duplicate of one that stays, so a chain of crops
    that overlap a little is thinned out, not reduced to one.

    Args:
        pairs: Near-duplicates, int (p, 2), rows of the other arguments.
        entropy: float32 (n,); NaN comes last.
        key: Unique identifiers, uint64 (n,).

    Returns:
        ``kept``, bool (n,), and ``stand_in``, int64 (n,): the row that a crop that goes
        is a near-duplicate of, the row itself for one that stays.

    Raises:
        ValueError: If a pair names a row that does not exist.
    """
    pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(key)):
        raise ValueError(
            f'pairs name rows {pairs.min()} to {pairs.max()}, there are {len(key)}'
        )
    kept, stand_in = np.ones(len(key), bool), np.arange(len(key))
    rank = np.empty(len(key), np.int64)
    rank[np.lexsort((key, entropy))] = np.arange(len(key))
    order = np.sort(rank[pairs], axis=1)
    row_at = np.argsort(rank)
    # By the rank of the better one: when it is looked at, its own fate is decided.
    for better, worse in np.unique(order, axis=0).tolist():
        a, b = row_at[better], row_at[worse]
        if better != worse and kept[a] and kept[b]:
            kept[b], stand_in[b] = False, a
    return kept, stand_in


def _search(
    first: np.ndarray, second: np.ndarray, least: float, same: bool
) -> Neighbours:
    """Compare tile by tile on one thread."""
    threads = faiss.omp_get_max_threads()
    # The order of sums must not depend on the machine's number of cores.
    faiss.omp_set_num_threads(1)
    try:
        found = [
            _search_tile(first, second, begin, start, least)
            for start in range(0, len(second), _TILE)
            for begin in range(
                0, min(start + 1, len(first)) if same else len(first), _TILE
            )
        ]
    finally:
        faiss.omp_set_num_threads(threads)
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    if not columns:
        columns = [np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, 'f4')]
    if same:
        once = columns[0] < columns[1]
        columns = [column[once] for column in columns]
    order = np.lexsort((columns[1], columns[0]))
    return Neighbours(*(column[order] for column in columns))


def _search_tile(
    first: np.ndarray, second: np.ndarray, begin: int, start: int, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare a tile of rows with a tile of rows."""
    queries = _tile(first, begin)
    index = faiss.IndexFlatIP(first.shape[1])
    index.add(_tile(second, start))
    # faiss returns what is above its radius, not what is equal.
    radius = float(np.nextafter(np.float32(least), np.float32(-2)))
    limits, cosine, row = index.range_search(queries, radius)
    query = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
    return begin + query, start + row.astype(np.int64), cosine


def _tile(features: np.ndarray, begin: int) -> np.ndarray:
    """Read a tile and refuse rows that are no directions."""
    tile = np.ascontiguousarray(features[begin : begin + _TILE], np.float32)
    lengths = np.linalg.norm(tile, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 0.01))
    if len(wrong):
        raise ValueError(
            f'row {begin + wrong[0]} of the features has the length '
            f'{lengths[wrong[0]]:.3g}, expected 1'
        )
    return tile


def _check(first: np.ndarray, second: np.ndarray, least: float) -> None:
    """Raise for tables that cannot be compared."""
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f'features are {first.shape} and {second.shape}, expected (n, D) and (m, D)'
        )
    check_number('min_similarity', least, above=-1, most=1)
