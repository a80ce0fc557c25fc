"""Pairs of codes within a radius, against all distances counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from s5_mm.curation.overlap import code_search
from s5_mm.curation.overlap.code_search import hamming_matches


def codes(seed: int, rows: int, near: np.ndarray | None = None) -> np.ndarray:
    """Draw codes, or codes that are 0 to 59 bits away from some of others."""
    rng = np.random.default_rng(seed)
    if near is None:
        return rng.integers(0, 256, (rows, 32), np.uint8)
    bits = np.unpackbits(near[rng.integers(0, len(near), rows)], axis=1)
    for row in bits:
        row[rng.choice(256, rng.integers(0, 60), replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def every_distance(pool: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Count the bits of every pair, (queries, pool)."""
    return np.array(
        [[np.unpackbits(row ^ query).sum() for row in pool] for query in queries]
    )


@pytest.mark.parametrize('radius', [0, 12, 31])
@pytest.mark.parametrize('chunks', [None, 0, 11, 16, 19])
def test_all_pairs_within_the_radius(radius: int, chunks: int | None) -> None:
    pool = codes(0, 200)
    queries = codes(1, 60, pool)
    distance = every_distance(pool, queries)
    query, row = np.nonzero(distance <= radius)
    assert radius == 0 or len(query) > 5
    found = hamming_matches(pool, queries, radius, chunks)
    np.testing.assert_array_equal(found.query, query)
    np.testing.assert_array_equal(found.pool, row)
    np.testing.assert_array_equal(found.distance, distance[query, row])


def test_steps_and_sides_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = codes(2, 150)
    queries = codes(3, 250, pool)
    # A full bucket: many pairs come from one lookup.
    queries[100:] = pool[7]
    whole = hamming_matches(pool, queries, 31, 0)
    assert len(whole.pool) > 150
    monkeypatch.setattr(code_search, '_STEP', 300)
    for found in (
        hamming_matches(pool, queries, 31, 16),
        hamming_matches(queries, pool, 31, 16),
    ):
        pairs = {tuple(pair) for pair in zip(found.pool, found.query, strict=True)}
        mirrored = {pair[::-1] for pair in pairs}
        expected = set(zip(whole.pool, whole.query, strict=True))
        assert expected in (pairs, mirrored)


def test_many_codes_are_searched_in_chunks_and_few_are_not() -> None:
    assert code_search._best_chunks(10**7, 10**6, 31) == 11
    assert code_search._best_chunks(100, 10, 31) == 0
    assert code_search._best_chunks(10**6, 10**5, 120) == 0


def test_nothing_is_found_in_nothing() -> None:
    for pool, queries in ((codes(0, 0), codes(0, 3)), (codes(0, 3), codes(0, 0))):
        assert [len(column) for column in hamming_matches(pool, queries, 31)] == [0] * 3
    assert not len(hamming_matches(codes(4, 50), codes(5, 50), 3, 16).pool)


def test_errors_say_what_is_expected() -> None:
    good = codes(0, 2)
    with pytest.raises(ValueError, match=r'pool is int64 \(2, 32\), expected uint8'):
        hamming_matches(good.astype(np.int64), good, 3)
    with pytest.raises(ValueError, match=r'queries is uint8 \(2, 8\), expected uint8'):
        hamming_matches(good, good[:, :8], 3)
    with pytest.raises(ValueError, match='radius=256, expected 0 to 255'):
        hamming_matches(good, good, 256)
    with pytest.raises(ValueError, match='chunks=5, expected 11 to 256, or 0 or None'):
        hamming_matches(good, good, 3, 5)
