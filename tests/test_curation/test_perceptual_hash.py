"""Codes of turned crops, of altered crops and of other crops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from s5_mm.curation.overlap.perceptual_hash import (
    NUM_BITS,
    NUM_ORIENTATIONS,
    frequencies,
    orientation_codes,
    perceptual_hash,
    small_luminance,
)
from s5_mm.testing import draw_scene


def crop(number: int, size: int = 256) -> np.ndarray:
    """A drawn scene."""
    return draw_scene(5, number, size, (0.3, 0.6)).image


def distance(first: bytes, second: bytes) -> int:
    """Bits in which two codes differ."""
    pair = [np.frombuffer(code, np.uint8) for code in (first, second)]
    return int(np.unpackbits(pair[0] ^ pair[1]).sum())


def test_the_transform_is_a_cosine_transform() -> None:
    small = small_luminance(crop(0))
    whole = cv2.dct(small.astype(np.float64))[1:17, 1:17]
    # cv2's is orthonormal: every cosine has the norm sqrt(2 / 64).
    np.testing.assert_allclose(frequencies(small) / 32, whole, atol=1e-2)


@pytest.mark.parametrize('orientation', range(NUM_ORIENTATIONS))
def test_orientations_are_those_of_the_pixels(orientation: int) -> None:
    plain = crop(1)
    turned = np.fliplr(plain) if orientation > 3 else plain
    turned = np.ascontiguousarray(np.rot90(turned, orientation % 4))
    code = perceptual_hash(turned).code
    assert distance(code, orientation_codes(plain)[orientation].tobytes()) <= 2
    others = np.delete(orientation_codes(plain), orientation, 0)
    assert min(distance(code, other.tobytes()) for other in others) > 60


def test_alterations_change_few_bits_and_other_scenes_half_of_them() -> None:
    crops = [crop(number) for number in range(12)]
    codes = [perceptual_hash(image).code for image in crops]
    for image, code in zip(crops, codes, strict=True):
        jpeg = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
        for altered in (
            cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1].copy(),
            cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA),
            cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC),
            cv2.convertScaleAbs(image, alpha=0.7),
        ):
            assert distance(perceptual_hash(altered).code, code) <= 24
    between = [distance(a, b) for i, a in enumerate(codes) for b in codes[:i]]
    assert min(between) > 80
    assert abs(np.mean(between) - NUM_BITS / 2) < 10


def test_quality_tells_structure_from_none() -> None:
    assert perceptual_hash(np.full((64, 64, 3), 90, np.uint8)).quality == 0
    noise = np.random.default_rng(0).normal(90, 3, (256, 256, 3)).astype(np.uint8)
    assert perceptual_hash(noise).quality < 0.1
    assert perceptual_hash(crop(2)).quality > 0.3
