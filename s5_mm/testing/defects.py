"""Tiles that are flat or broken on purpose, as archives of imagery hold them."""

from __future__ import annotations

import cv2
import numpy as np

from s5_mm.utils.argument_checks import check_choice

DEFECTS = (
    'flat',
    'no_data',
    'stripes',
    'truncated',
    'empty',
    'upsampled',
    'white',
    'border',
)
"""Kinds of bad tiles.  A ``truncated`` file ends in its middle, an ``empty`` one has
zero bytes; all others can be read.  ``flat`` and ``white`` (cloud that saturates the
sensor) hold almost nothing, ``upsampled`` shows the middle of the scene enlarged twice
or four times, ``border`` has strips of one colour along one or more sides."""

_ENLARGE = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def encode_png(image: np.ndarray) -> bytes:
    """Encode a picture or a mask.

    Args:
        image: uint8 (H, W, 3) RGB or uint8 (H, W).

    Returns:
        The bytes of a PNG file; the same for the same pixels.
    """
    pixels = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def spoil(image: np.ndarray, kind: str, rng: np.random.Generator) -> bytes:
    """Encode a picture with a defect.

    Args:
        image: The good picture, uint8 (H, W, 3) RGB.
        kind: One of :data:`DEFECTS`.
        rng: Source of the draws.

    Returns:
        The bytes of the file, which need not be a readable PNG.

    Raises:
        ValueError: If there is no such kind of defect.
    """
    check_choice('kind', kind, DEFECTS)
    if kind == 'empty':
        return b''
    if kind == 'truncated':
        data = encode_png(image)
        return data[: int(len(data) * rng.uniform(0.3, 0.7))]
    image = image.copy()
    height, width = image.shape[:2]
    if kind == 'flat':
        image[:] = rng.integers(0, 256, size=3)
    elif kind == 'no_data':
        # The slanted edge of an orthomosaic: black beyond a line.
        y, x = np.mgrid[:height, :width]
        angle = rng.uniform(0, 2 * np.pi)
        along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
        image[along > rng.uniform(-0.3, 0.1) * width] = 0
    elif kind == 'upsampled':
        image = _enlarge(image, rng)
    elif kind == 'white':
        noise = rng.normal(0, 1, size=image.shape)
        image = np.clip(rng.uniform(246, 262) + noise, 0, 255).astype(np.uint8)
    elif kind == 'border':
        _frame(image, rng)
    else:
        lost = rng.random(height) < 0.5
        image[lost] = rng.integers(0, 256, size=(int(lost.sum()), 1, 3))
    return encode_png(image)


def _enlarge(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Enlarge the middle of a picture to its size, twice or four times."""
    height, width = image.shape[:2]
    factor = int(rng.choice((2, 4)))
    rows, columns = (max(side // factor, 1) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    part = image[top : top + rows, left : left + columns]
    method = _ENLARGE[int(rng.integers(len(_ENLARGE)))]
    return cv2.resize(part, (width, height), interpolation=method)


def _frame(image: np.ndarray, rng: np.random.Generator) -> None:
    """Paint strips of one colour, a 25th to a 10th wide, along one to four sides."""
    colour = rng.integers(0, 256, size=3)
    depth = max(int(min(image.shape[:2]) * rng.uniform(0.04, 0.1)), 1)
    for side in rng.permutation(4)[: rng.integers(1, 5)]:
        np.rot90(image, side)[:depth] = colour
