"""Copies of drawn images in a pool, found by name, by hash and by their pixels."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from s5_mm.curation.overlap import leakage
from s5_mm.curation.overlap.eval_crops import (
    EvalCrops,
    crops_of,
    cut_eval_images,
    eval_windows,
    hash_eval_crop,
)
from s5_mm.curation.overlap.ground_alignment import align, find_key_points, same_ground
from s5_mm.curation.overlap.leakage import match_features, match_hashes, match_names
from s5_mm.curation.overlap.matches import MATCHES, Policies, PoolCrops, dropped_crops
from s5_mm.curation.overlap.perceptual_hash import orientation_codes, perceptual_hash
from s5_mm.curation.overlap.provenance import Origin, Provenance
from s5_mm.testing import draw_scene

from ..support.attacks import ATTACKS, orient

SIZE = 192


@cache
def scene(number: int, size: int = SIZE) -> np.ndarray:
    """A drawn image."""
    return draw_scene(13, number, size, (0.3, 0.6)).image


def make_pool(crops: list[np.ndarray], features: np.ndarray | None = None) -> PoolCrops:
    """Make a pool whose crops are called 100, 101 and so on."""
    hashes = [perceptual_hash(crop) for crop in crops]
    return PoolCrops(
        np.arange(100, 100 + len(crops), dtype=np.uint64),
        np.arange(len(crops), dtype=np.int32),
        [('pool', f'images/{number}.png') for number in range(len(crops))],
        np.array([np.frombuffer(h.code, np.uint8) for h in hashes]),
        np.array([h.quality for h in hashes], np.float32),
        features,
    )


@cache
def evals() -> EvalCrops:
    """Images 0 to 4 of a benchmark."""
    images = ((Origin('bench', 'test', f'{n}.png'), scene(n)) for n in range(5))
    return cut_eval_images(images, SIZE)


@pytest.mark.parametrize('name', list(ATTACKS))
def test_the_hash_layer_finds_altered_copies_and_nothing_else(name: str) -> None:
    pool = make_pool([ATTACKS[name](scene(number)) for number in range(2, 8)])
    table = match_hashes(pool, evals(), Policies())
    assert table.schema.equals(MATCHES)
    assert table['crop_id'].to_pylist() == [100, 101, 102]
    assert table['eval_image'].to_pylist() == ['2.png', '3.png', '4.png']
    assert set(table['layer'].to_pylist()) == {'hash'}
    assert max(table['distance'].to_pylist()) <= 31
    assert table['correlation'].null_count == 3


def test_the_distance_is_that_of_the_closest_variant() -> None:
    pool = make_pool([orient(scene(1), 5)])
    codes = orientation_codes(scene(1))
    bits = np.unpackbits(codes ^ pool.codes[0], axis=1).sum(1)
    table = match_hashes(pool, evals(), Policies())
    assert table['distance'].to_pylist() == [bits.min()]
    assert bits.argmin() == 5


def test_a_part_of_an_image_at_another_scale_is_found() -> None:
    part = np.ascontiguousarray(scene(3)[48:144, 96:192])
    pool = make_pool([ATTACKS['scale 2.0'](part)])
    table = match_hashes(pool, evals(), Policies())
    assert table['eval_image'].to_pylist() == ['3.png']


def test_flat_crops_are_not_compared() -> None:
    flat = np.full((SIZE, SIZE, 3), 80, np.uint8)
    cut = cut_eval_images([(Origin('bench', 'test', 'sea.png'), flat)], SIZE)
    pool = make_pool([flat])
    assert not len(match_hashes(pool, cut, Policies()))
    assert len(match_hashes(pool, cut, Policies(), min_quality=0)) == 1


@pytest.mark.parametrize(('quality', 'found'), [(0.06, 1), (0.04, 0)])
def test_a_copy_may_have_half_of_the_structure(quality: float, found: int) -> None:
    pool = make_pool([scene(1)])._replace(quality=np.array([quality], np.float32))
    assert len(match_hashes(pool, evals(), Policies())) == found


def test_variants_of_a_crop() -> None:
    codes, quality = hash_eval_crop(scene(0), (1.0, 1.3))
    assert quality == perceptual_hash(scene(0)).quality
    np.testing.assert_array_equal(codes[:8], orientation_codes(scene(0)))
    bright = ATTACKS['brightness 1.3'](scene(0))
    np.testing.assert_array_equal(codes[8:], orientation_codes(bright))


def test_windows_of_an_evaluation_image() -> None:
    square = eval_windows(256, 256, 512).tolist()
    assert [0, 0, 256, 256] in square
    corners = [[x, y, 128, 128] for y in (0, 64, 128) for x in (0, 64, 128)]
    assert sorted(square) == sorted([[0, 0, 256, 256], *corners])
    # The pool's own windows, the last ones shifted back to the border.
    large = eval_windows(1300, 1100, 512, shares=(1.0,), step=1.0)
    own = [[x, y, 512, 512] for y in (0, 512, 588) for x in (0, 512, 788)]
    assert large.tolist() == sorted(
        [*own, [0, 0, 1100, 1100], [200, 0, 1100, 1100]],
        key=lambda window: (window[1], window[0], window[2]),
    )
    assert eval_windows(50, 40, 512).tolist() == [[0, 0, 50, 40]]
    pixels = np.arange(1100 * 1300 * 3, dtype=np.uint8).reshape(1100, 1300, 3)
    for (x, y, w, h), crop in zip(large, crops_of(pixels, large), strict=True):
        np.testing.assert_array_equal(crop, pixels[y : y + h, x : x + w])


def test_names_decide_by_the_lists_of_the_benchmarks() -> None:
    rule = dict(collection='pool', pattern=r'\d+', benchmarks=['bench'])
    provenance = Provenance([rule], {'bench': {'val': ['2'], 'test': ['0']}})
    pool = make_pool([scene(n) for n in range(3)])
    pool = pool._replace(source=np.array([2, 2, 0], np.int32))
    policies = Policies('drop', {'bench': 'flag', 'bench/val': 'keep'})
    table = match_names(pool, provenance, policies)
    assert table['crop_id'].to_pylist() == [100, 101, 102]
    assert table['eval_image'].to_pylist() == ['2', '2', '0']
    assert table['split'].to_pylist() == ['val', 'val', 'test']
    assert table['verdict'].to_pylist() == ['keep', 'keep', 'flag']
    assert table['layer'].to_pylist() == ['provenance'] * 3
    assert not len(dropped_crops(table))
    assert dropped_crops(match_names(pool, provenance, Policies())).tolist() == [
        *(100, 101, 102),
    ]


def test_an_unknown_policy() -> None:
    with pytest.raises(ValueError, match=r"default='warn', allowed are 'drop'"):
        Policies('warn')
    with pytest.raises(ValueError, match="policy bench/val='no', allowed are"):
        Policies(exceptions={'bench/val': 'no'})


def test_pixels_decide_between_crops_with_similar_features() -> None:
    wide = [scene(number, 288) for number in range(3)]
    tests = [np.ascontiguousarray(image[:, :SIZE]) for image in wide]
    # Half of the ground of test 1, mirrored and turned; another scene; all of test 0.
    crops = [
        orient(np.ascontiguousarray(wide[1][:SIZE, 96:]), 6),
        scene(9),
        ATTACKS['0.5, 0.7, turned, JPEG'](tests[0]),
    ]
    units = np.tile(np.eye(1, 4, dtype=np.float16), (3, 1))
    origins = [Origin('bench', 'val', f'{n}.png') for n in range(3)]
    cut = cut_eval_images(zip(origins, tests, strict=True), SIZE, shares=(1.0,))
    whole = np.flatnonzero(cut.window[:, 1] == 0)
    cut = EvalCrops(origins, *(column[whole] for column in cut[1:5]), units[:, None])
    pool = make_pool(crops, units)
    options = (Policies(), crops.__getitem__, tests.__getitem__)
    table = match_features(pool, cut, *options, min_similarity=0.5)
    assert table['crop_id'].to_pylist() == [100, 102]
    assert table['eval_image'].to_pylist() == ['1.png', '0.png']
    assert min(table['correlation'].to_pylist()) > 0.9
    assert table['distance'].to_pylist() == [0, 0]

    away = pool._replace(features=np.roll(units, 1, axis=1))
    assert not len(match_features(away, cut, *options, min_similarity=0.5))
    with pytest.raises(ValueError, match='needs features of pool and benchmarks'):
        match_features(pool._replace(features=None), cut, *options, min_similarity=0.5)


def test_similar_features_are_confirmed_by_close_codes_too() -> None:
    """Copies of which nothing but low frequencies is left; others stay unconfirmed."""
    names = [Origin('bench', 'test', f'{n}.png') for n in range(2)]
    tests = [scene(0), scene(1)]
    whole = cut_eval_images(zip(names, tests, strict=True), SIZE, shares=(1.0,))
    units = np.eye(3, 16, dtype=np.float16)
    cut = whole._replace(features=units[:2, None])
    blurred = [cv2.GaussianBlur(orient(t, 3), (0, 0), 4) for t in (*tests, scene(3))]
    pool = make_pool(blurred, units[[0, 1, 0]])
    far = [match_hashes(pool, whole, Policies(), radius=r)['crop_id'] for r in (0, 64)]
    assert [len(found) for found in far] == [0, 2]
    options = (Policies(), blurred.__getitem__, tests.__getitem__)
    blind = dict(min_similarity=0.5, min_correlation=1.01)  # no alignment is enough
    table = match_features(pool, cut, *options, **blind)
    assert table['crop_id'].to_pylist() == [100, 101]
    assert table['correlation'].to_pylist() == [None, None]
    none = pool._replace(quality=np.full(3, 0.04, np.float32))
    assert not len(match_features(none, cut, *options, **blind))


@pytest.mark.parametrize('factor', [0.6, 1.7])
def test_the_alignment_is_where_the_crop_lies(factor: float) -> None:
    image = scene(4, 288)
    first = np.ascontiguousarray(image[40:232, 60:252])
    name = {0.6: 'scale 0.75', 1.7: 'scale 1.5'}[factor]
    scale = float(name.split()[1])
    second = ATTACKS[name](image)
    points, others = find_key_points(first), find_key_points(second)
    found = align(points, others)
    assert found is not None
    assert found.correlation > 0.97
    assert found.overlap > 0.95
    corner = found.matrix @ (0, 0, 1)
    expected = (np.array([60, 40]) + 0.5) * scale - 0.5
    np.testing.assert_allclose(corner, expected, atol=1.0)
    back = align(others, points)
    assert back is not None
    assert abs(back.overlap - found.overlap) < 0.03


def test_no_alignment_without_detail_or_of_other_ground() -> None:
    flat = find_key_points(np.full((64, 64, 3), 9, np.uint8))
    other = find_key_points(scene(1))
    assert align(flat, other) is None
    for number in (2, 3, 4):
        assert same_ground(find_key_points(scene(number)), other, other) is None


def test_thresholds_of_correlation_and_overlap() -> None:
    image = scene(0, 288)
    parts = [
        find_key_points(np.ascontiguousarray(image[:, x : x + SIZE])) for x in (0, 96)
    ]
    found = same_ground(*parts, parts[1])
    assert found is not None
    assert 0.4 < found.overlap < 0.55
    assert same_ground(*parts, parts[1], min_overlap=0.6) is None
    assert same_ground(*parts, parts[1], min_correlation=1.01) is None


def test_pairs_come_by_blocks_that_a_comparer_remembers(monkeypatch) -> None:
    """Each side is read once a block of the other, however many pairs there are."""
    read: list[int] = []
    monkeypatch.setattr(leakage, 'find_key_points', lambda crop: read.append(1))
    monkeypatch.setattr(leakage, 'same_ground', lambda *points: None)
    crop = np.zeros((1, 1, 3), np.uint8)
    compare = leakage.ground_comparer(lambda row: crop, lambda row: crop)
    pairs = [(a, b) for b in range(300) for a in range(600)]
    for pair in sorted(pairs, key=leakage.by_blocks):
        compare(*pair)
    # Two blocks of the second side, three of the first; the second in two directions.
    assert len(read) <= 2 * 600 + 3 * 2 * 300
