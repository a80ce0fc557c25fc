"""256 bits that survive compression, scaling and brightness, in eight orientations.

The construction is that of PDQ (Facebook, 2019): signs of the 16 x 16 lowest
frequencies, without the constant ones, of a 64 x 64 picture of the luminance, around
their median.  A flip changes the signs of the odd frequencies and a transposition swaps
the axes, so the codes of the eight orientations come from one transform.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SIDE, FREQUENCIES = 64, 16
NUM_BITS = FREQUENCIES**2
NUM_ORIENTATIONS = 8
"""Identity, quarter turns by 90, 180 and 270 degrees (``np.rot90``), then the same of
the mirror image (``np.fliplr`` first)."""

# Mean step between neighbours of the small picture that counts as full structure.
_FULL_STRUCTURE = 8.0


def _basis() -> np.ndarray:
    """Cosines of the frequencies 1 to 16, float32 (16, 64)."""
    k = np.arange(1, FREQUENCIES + 1)[:, None]
    x = (np.arange(SIDE) + 0.5)[None]
    return np.cos(np.pi * k * x / SIDE).astype(np.float32)


_BASIS = _basis()
_ODD = np.where(np.arange(1, FREQUENCIES + 1) % 2, -1.0, 1.0).astype(np.float32)


class PerceptualHash(NamedTuple):
    """Code of a crop.

    Attributes:
        code: 32 bytes.
        quality: 0 to 1.  Codes of pictures without structure (water, flat fields) are
            decided by noise; those below 0.1 must not be compared.
    """

    code: bytes
    quality: float


def perceptual_hash(crop: np.ndarray) -> PerceptualHash:
    """Hash a crop.

    Args:
        crop: uint8, (H, W, 3), RGB.

    Returns:
        Its code and the quality of the code.
    """
    small = small_luminance(crop)
    steps = np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small)).mean()
    quality = min(float(steps) / 2 / _FULL_STRUCTURE, 1.0)
    return PerceptualHash(_code(frequencies(small)).tobytes(), quality)


def orientation_codes(crop: np.ndarray) -> np.ndarray:
    """Hash a crop in its eight orientations.

    Args:
        crop: uint8, (H, W, 3), RGB.

    Returns:
        uint8, (8, 32), in the order of :data:`NUM_ORIENTATIONS`.
    """
    plain = frequencies(small_luminance(crop))
    mirrored = plain * _ODD  # columns run the other way
    return np.stack([_code(turned) for f in (plain, mirrored) for turned in _turns(f)])


def small_luminance(crop: np.ndarray) -> np.ndarray:
    """Reduce a crop to the luminance of 64 x 64 areas.

    Args:
        crop: uint8, (H, W, 3), RGB.

    Returns:
        float32, (64, 64), 0 to 255.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def frequencies(small: np.ndarray) -> np.ndarray:
    """Transform a small picture.

    Args:
        small: float32, (64, 64).

    Returns:
        float32, (16, 16): cosine transform at the frequencies 1 to 16, unscaled.
    """
    return _BASIS @ small @ _BASIS.T


def _turns(f: np.ndarray) -> list[np.ndarray]:
    """Frequencies of a picture after 0 to 3 quarter turns."""
    turned = [f]
    for _ in range(3):
        # rot90 is a transposition, then a flip of the rows.
        turned.append(turned[-1].T * _ODD[:, None])
    return turned


def _code(f: np.ndarray) -> np.ndarray:
    """Set the bits of the frequencies above the median, uint8 (32,)."""
    return np.packbits((f > np.median(f)).ravel())
