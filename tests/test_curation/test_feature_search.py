"""Similar rows against a plain product, and which near-duplicate stays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from s5_mm.curation.overlap import feature_search
from s5_mm.curation.overlap.duplicates import (
    DUPLICATES,
    feature_pairs,
    hash_pairs,
    resolve_duplicates,
)
from s5_mm.curation.overlap.feature_search import keep_one, similar_pairs, similar_rows
from s5_mm.curation.overlap.perceptual_hash import perceptual_hash
from s5_mm.testing import draw_scene

from ..support.attacks import compress


def features(seed: int, rows: int) -> np.ndarray:
    """Draw directions."""
    drawn = np.random.default_rng(seed).normal(size=(rows, 8))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize('tile', [7, 4096])
def test_similar_rows_are_those_of_the_product(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_search, '_TILE', tile)
    first, second = features(0, 40), features(1, 30)
    cosine = first.astype(np.float64) @ second.astype(np.float64).T
    assert np.abs(cosine - 0.6).min() > 1e-5
    found = similar_rows(first, second, 0.6)
    expected = np.nonzero(cosine >= 0.6)
    assert len(expected[0]) > 20
    np.testing.assert_array_equal(found[:2], expected)
    np.testing.assert_allclose(found.similarity, cosine[expected], atol=1e-6)

    cosine = np.triu(first.astype(np.float64) @ first.astype(np.float64).T, 1)
    found = similar_pairs(first, 0.6)
    np.testing.assert_array_equal(found[:2], np.nonzero(cosine >= 0.6))


def test_a_row_as_similar_as_asked_for_is_found() -> None:
    units = np.eye(3, dtype=np.float32)
    assert similar_rows(units, units, 1.0).first.tolist() == [0, 1, 2]
    assert len(similar_pairs(units, 0.0).first) == 3
    assert not len(similar_pairs(units[:0], 0.5).first)


def test_features_that_cannot_be_compared() -> None:
    good = features(0, 3)
    with pytest.raises(ValueError, match=r'\(3, 8\) and \(3, 4\), expected'):
        similar_rows(good, good[:, :4], 0.5)
    with pytest.raises(ValueError, match='min_similarity=-1, expected above -1'):
        similar_pairs(good, -1)
    for value, text in ((2.0, '2'), (np.nan, 'nan')):
        bad = good.copy()
        bad[1] *= value
        with pytest.raises(ValueError, match=f'row 1 .* has the length {text}'):
            similar_pairs(bad, 0.5)


def test_the_lowest_entropy_stays_then_the_smallest_key() -> None:
    entropy = np.array([0.3, 0.1, 0.2, 0.2, np.nan], np.float32)
    key = np.array([1, 2, 9, 8, 3], np.uint64)
    # 1 beats 0 and 4; 2 and 3 are equal, 3 has the smaller key.
    kept, stand_in = keep_one([(0, 1), (2, 3), (1, 4), (4, 4)], entropy, key)
    assert kept.tolist() == [False, True, False, True, False]
    assert stand_in.tolist() == [1, 1, 3, 3, 1]


def test_a_chain_keeps_every_other_crop_in_any_order() -> None:
    entropy = np.arange(5, dtype=np.float32)
    key = np.arange(5, dtype=np.uint64)
    chain = np.array([(0, 1), (1, 2), (2, 3), (3, 4)])
    for pairs in (chain, chain[::-1], chain[:, ::-1], np.repeat(chain, 2, 0)):
        assert keep_one(pairs, entropy, key)[0].tolist() == [1, 0, 1, 0, 1]


def test_pairs_of_rows_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match='pairs name rows 0 to 3, there are 2'):
        keep_one([(0, 3)], np.zeros(2), np.arange(2))


def test_duplicates_of_drawn_crops() -> None:
    crops = [draw_scene(7, number, 192).image for number in range(4)]
    crops.append(compress(crops[2], 30))
    crops.append(np.zeros_like(crops[0]))
    crops.append(np.zeros_like(crops[0]))
    hashes = [perceptual_hash(crop) for crop in crops]
    codes = np.frombuffer(b''.join(h.code for h in hashes), np.uint8).reshape(-1, 32)
    quality = np.array([h.quality for h in hashes])
    by_hash = hash_pairs(codes, quality)
    assert by_hash.tolist() == [[2, 4]]
    assert [5, 6] in hash_pairs(codes, quality, min_quality=0).tolist()
    # Features that call everything similar: the pixels decide.
    same = np.tile(np.eye(1, 8, dtype=np.float32), (5, 1))
    by_pixels = feature_pairs(same, crops.__getitem__, 0.5)
    np.testing.assert_array_equal(by_pixels, by_hash)

    entropy = np.array([0, 0, 0.5, 0, 0.4, 0, 0], np.float32)
    ids = np.arange(70, 77, dtype=np.uint64)
    table = resolve_duplicates(by_hash, entropy, ids)
    expected = {'crop_id': [76 - 2, 72], 'group': [0, 0], 'kept': [True, False]}
    assert table.equals(pa.table(expected, schema=DUPLICATES))
    assert not len(resolve_duplicates(by_hash[:0], entropy, ids))
