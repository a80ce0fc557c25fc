"""What happens to a picture on its way from one data set into another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

Attack = Callable[[np.ndarray], np.ndarray]
"""Takes and gives uint8 (H, W, 3), RGB."""


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Write as JPEG and read back.

    Args:
        image: uint8, (H, W, 3), RGB.
        quality: 0 to 100.

    Returns:
        An image of the same kind, as of every function here.
    """
    data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data[1], cv2.IMREAD_COLOR)[..., ::-1])


def rescale(image: np.ndarray, factor: float) -> np.ndarray:
    """Resize by a factor."""
    sides = [round(side * factor) for side in image.shape[1::-1]]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, sides, interpolation=how)


def brighten(image: np.ndarray, gain: float) -> np.ndarray:
    """Multiply, and cut off at 255."""
    return cv2.convertScaleAbs(image, alpha=gain)


def orient(image: np.ndarray, number: int) -> np.ndarray:
    """Turn, the mirror image from 4 on.

    Args:
        image: uint8, (H, W, 3).
        number: 0 to 7, in the order of
            :data:`s5_mm.curation.overlap.perceptual_hash.NUM_ORIENTATIONS`.

    Returns:
        The image in that orientation.
    """
    turned = np.fliplr(image) if number > 3 else image
    return np.ascontiguousarray(np.rot90(turned, number % 4))


def _all_at_once(
    image: np.ndarray, factor: float, gain: float, number: int
) -> np.ndarray:
    """Rescale, brighten, turn and compress."""
    changed = brighten(rescale(image, factor), gain)
    return compress(orient(changed, number), 30)


ATTACKS: dict[str, Attack] = {
    'JPEG 30': partial(compress, quality=30),
    **{f'scale {f}': partial(rescale, factor=f) for f in (0.5, 0.75, 1.5, 2.0)},
    **{f'brightness {g}': partial(brighten, gain=g) for g in (0.7, 1.15, 1.3)},
    **{f'orientation {n}': partial(orient, number=n) for n in range(8)},
    '0.5, 0.7, turned, JPEG': partial(_all_at_once, factor=0.5, gain=0.7, number=1),
    '0.5, 1.3, mirrored, JPEG': partial(_all_at_once, factor=0.5, gain=1.3, number=6),
    '2.0, 1.3, turned, JPEG': partial(_all_at_once, factor=2.0, gain=1.3, number=3),
}
"""Copies of a whole image, by name."""
