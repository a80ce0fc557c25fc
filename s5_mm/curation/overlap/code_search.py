"""All pairs of 256-bit codes within a Hamming radius, exactly.

Two codes that differ in at most r bits differ in at most f = r // m bits in one of m
chunks.  So one side is sorted by a chunk, the other side looks up its own chunk with up
to f bits flipped, and what is found is compared whole; then the next chunk.  That is
the multi-index hashing of Norouzi et al. (2012).  faiss has it
(``IndexBinaryMultiHash``), but holds all chunks at once in maps of lists, which takes
10 s a million codes to build against 2 s here; its flat search compares every pair, and
is used where that is quicker.  Measured on one core, radius 31, 10 million codes: 0.6
ms a query in chunks, 11.6 ms flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from s5_mm.utils.argument_checks import check_number

from .._faiss import faiss

NUM_BYTES = 32
_NUM_BITS = 8 * NUM_BYTES
_WORDS = NUM_BYTES // 8

# Chunks of more bits would need tables larger than 2**24 starts of buckets.
_MAX_CHUNK = 24
# Candidates, and lookups, that are held at once.
_STEP = 2**21
# Nanoseconds on one core, measured at 10 million rows: a comparison in faiss's flat
# search, a lookup, a candidate, a row of a chunk's table.
_FLAT, _LOOKUP, _CANDIDATE, _ROW = 1.2, 35.0, 130.0, 180.0


class HammingMatches(NamedTuple):
    """Pairs of codes, sorted by query, then by row of the pool.

    Attributes:
        pool: Rows of the pool, int64 (n,).
        query: Rows of the queries, int64 (n,).
        distance: Bits that differ, int32 (n,).
    """

    pool: np.ndarray
    query: np.ndarray
    distance: np.ndarray


def hamming_matches(
    pool: np.ndarray, queries: np.ndarray, radius: int, chunks: int | None = None
) -> HammingMatches:
    """Find all pairs within a radius.

    Memory beyond codes and matches: 72 bytes a row of the longer side, and 0.3 GB.

    Args:
        pool: Codes, uint8 (n, 32).
        queries: Codes, uint8 (q, 32).
        radius: Largest number of bits that may differ, 0 to 255.
        chunks: Number of chunks; 0 compares every pair.  None takes what the sizes
            suggest.  The matches are the same.

    Returns:
        The matches.

    Raises:
        ValueError: If the codes or the numbers are not of that kind.
    """
    for name, codes in (('pool', pool), ('queries', queries)):
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != NUM_BYTES:
            raise ValueError(
                f'{name} is {codes.dtype} {codes.shape}, expected uint8 (n, '
                f'{NUM_BYTES})'
            )
    check_number('radius', radius, 0, _NUM_BITS - 1)
    fewest = -(-_NUM_BITS // _MAX_CHUNK)
    if chunks:
        check_number('chunks', chunks, fewest, _NUM_BITS, why=', or 0 or None')
    if not len(pool) or not len(queries):
        return _sorted(*np.zeros((3, 0), np.int64))
    if chunks is None:
        chunks = _best_chunks(len(pool), len(queries), radius)
    if chunks == 0:
        return _flat(pool, queries, radius)
    if len(queries) > len(pool):
        query, row, distance = _by_chunks(queries, pool, radius, chunks)
    else:
        row, query, distance = _by_chunks(pool, queries, radius, chunks)
    return _sorted(row, query, distance)


def _best_chunks(rows: int, queries: int, radius: int) -> int:
    """Estimate the quickest number of chunks, 0 for the flat search."""
    many, few = max(rows, queries), min(rows, queries)
    best, least = 0, _FLAT * many * few
    for chunks in range(-(-_NUM_BITS // _MAX_CHUNK), radius + 2):
        bits = _NUM_BITS // chunks
        lookups = sum(comb(bits, flips) for flips in range(radius // chunks + 1))
        each = lookups * (_LOOKUP + _CANDIDATE * many / 2**bits)
        if (cost := chunks * (few * each + _ROW * many)) < least:
            best, least = chunks, cost
    return best


def _flat(pool: np.ndarray, queries: np.ndarray, radius: int) -> HammingMatches:
    """Compare every pair."""
    index = faiss.IndexBinaryFlat(_NUM_BITS)
    index.add(np.ascontiguousarray(pool))
    # Its radius is the first distance that is too far.
    limits, distance, row = index.range_search(
        np.ascontiguousarray(queries), radius + 1
    )
    query = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
    return _sorted(row.astype(np.int64), query, distance)


def _by_chunks(
    many: np.ndarray, few: np.ndarray, radius: int, chunks: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find pairs that are close in a chunk: rows of both sides and distances."""
    many_words, few_words = _words(many), _words(few)
    ends = [_NUM_BITS * number // chunks for number in range(chunks + 1)]
    found = []
    for first, last in zip(ends, ends[1:], strict=False):
        bits = last - first
        keys = _chunk(many_words, first, bits)
        order = np.argsort(keys, kind='stable').astype(np.int32)
        starts = np.zeros(2**bits + 1, np.int32)
        np.cumsum(np.bincount(keys, minlength=2**bits), out=starts[1:])
        flips = _flips(bits, radius // chunks)
        step = max(1, _STEP // len(flips))
        for begin in range(0, len(few), step):
            wanted = _chunk(few_words[begin : begin + step], first, bits)
            lookups = (wanted[:, None] ^ flips).ravel()
            counts = starts[lookups + 1] - starts[lookups]
            hit = np.flatnonzero(counts)
            row = begin + hit // len(flips)
            for slots, owners in _expand(starts[lookups[hit]], counts[hit], row):
                rows = order[slots]
                close, distance = _close(many_words, few_words, rows, owners, radius)
                found.append((rows[close], owners[close], distance))
    rows, owners, distance = (
        np.concatenate(column).astype(np.int64) for column in zip(*found, strict=True)
    )
    # A pair that is close in several chunks was found in each of them.
    _, once = np.unique(rows * len(few) + owners, return_index=True)
    return rows[once], owners[once], distance[once]


def _expand(
    starts: np.ndarray, counts: np.ndarray, owners: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the slots of buckets and whom they were found for, some at a time."""
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0

    def piece(begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        place = np.arange(begin, end)
        bucket = np.searchsorted(ends, place, 'right')
        inside = place - (ends[bucket] - counts[bucket])
        return starts[bucket] + inside, owners[bucket]

    return (piece(b, min(b + _STEP, total)) for b in range(0, total, _STEP))


def _close(
    many: np.ndarray, few: np.ndarray, rows: np.ndarray, owners: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the candidates within the radius and their distances."""
    half = _WORDS // 2
    near = _popcount(many[rows, :half] ^ few[owners, :half])
    # Half of the bits rule out nearly all candidates.
    close = np.flatnonzero(near <= radius)
    distance = near[close] + _popcount(
        many[rows[close], half:] ^ few[owners[close], half:]
    )
    inside = distance <= radius
    return close[inside], distance[inside]


def _popcount(words: np.ndarray) -> np.ndarray:
    """Count the bits of every row, int32."""
    return np.bitwise_count(words).sum(1, dtype=np.int32)


def _words(codes: np.ndarray) -> np.ndarray:
    """View codes as numbers whose highest bit comes first, uint64 (n, 4)."""
    return np.ascontiguousarray(codes).view('>u8').astype(np.uint64)


def _chunk(words: np.ndarray, first: int, bits: int) -> np.ndarray:
    """Read bits ``first`` to ``first + bits`` of every code as a number, int64."""
    word, offset = divmod(first, 64)
    key = words[:, word] << np.uint64(offset)
    if offset + bits > 64:
        key |= words[:, word + 1] >> np.uint64(64 - offset)
    return (key >> np.uint64(64 - bits)).astype(np.int64)


def _flips(bits: int, most: int) -> np.ndarray:
    """List the numbers with at most ``most`` of the bits set, int64."""
    masks = [
        sum(1 << bit for bit in which)
        for count in range(most + 1)
        for which in combinations(range(bits), count)
    ]
    return np.array(masks, np.int64)


def _sorted(row: np.ndarray, query: np.ndarray, distance: np.ndarray) -> HammingMatches:
    """Bring matches into their order."""
    order = np.lexsort((row, query))
    return HammingMatches(row[order], query[order], distance[order].astype(np.int32))
