"""Crops of the images of benchmarks, as the leakage check compares them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from s5_mm.io.images.windows import sliding_windows
from s5_mm.utils.argument_checks import check_number

from .perceptual_hash import NUM_ORIENTATIONS, orientation_codes, perceptual_hash
from .provenance import Origin

GAINS = (1.0, 1.3)
"""Brightness of the copies that are hashed.  A copy that is 30 % brighter loses its
bright parts at 255, which moves 43 bits of the 99th percentile; hashed beside the
original, the brighter one is found too, and needs no larger radius."""

FEATURE_GAINS = (1.0, 0.7, 1.3)
"""Brightness of the copies whose features are compared (``check.gains``): a backbone
need not be indifferent to it.  Each costs eight passes over the benchmarks' crops."""

# Below this side in pixels there is less detail than a code has bits.
_MIN_SIDE = 64


class EvalCrops(NamedTuple):
    """Crops of the images of benchmarks; rows are crops.

    Attributes:
        origins: Benchmark, split and path (relative to the benchmark's root) of every
            image.
        image: Number of the crop's image, int32 (m,).
        window: x, y, width, height in pixels of the image, int64 (m, 4).
        codes: Codes in eight orientations for every gain, uint8 (m, V, 32).
        quality: Of the codes, 0 to 1, float32 (m,).
        features: Pooled features of unit length, float16 (m, W, D) of W copies, or
            None.
    """

    origins: Sequence[Origin]
    image: np.ndarray
    window: np.ndarray
    codes: np.ndarray
    quality: np.ndarray
    features: np.ndarray | None = None


def eval_windows(
    width: int,
    height: int,
    size: int,
    shares: Sequence[float] = (1.0, 0.5),
    step: float = 0.5,
) -> np.ndarray:
    """Lay windows over an image of a benchmark.

    Args:
        width: Columns of the image.
        height: Rows of the image.
        size: Side of the pool's crops; an image that is in the pool as well was cut
            into windows of this side without overlap.
        shares: Sides of further windows, as shares of the image's shorter side: the
            pool may show the image, or a part of it, at any scale.
        step: Distance of these windows, as a share of their side.

    Returns:
        int64, (n, 4): x, y, width, height, each once, sorted by y, x and side.  Windows
        are squares of at least 64 px; the image itself if it is smaller.

    Raises:
        ValueError: If a share or the step is not above 0 and at most 1.
    """
    for name, value in (*(('shares', share) for share in shares), ('step', step)):
        check_number(name, value, above=0, most=1)
    short = min(width, height)
    sides = [(round(short * share), step) for share in shares]
    sides = [(side, step) for side, step in sides if side >= _MIN_SIDE]
    if size <= short:
        sides.append((size, 1.0))
    if not sides:
        return np.array([[0, 0, width, height]])
    boxes = [
        sliding_windows(width, height, [side], [side - max(round(side * by), 1)], 0.0)
        for side, by in sides
    ]
    corners = np.unique(np.concatenate(boxes), axis=0)
    windows = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    return windows[np.lexsort((windows[:, 2], windows[:, 0], windows[:, 1]))]


def hash_eval_crop(
    crop: np.ndarray, gains: Sequence[float] = GAINS
) -> tuple[np.ndarray, float]:
    """Hash a crop of a benchmark in all variants that a copy of it may have.

    Args:
        crop: uint8, (H, W, 3), RGB.
        gains: Factors of the brightness.

    Returns:
        Codes, uint8 (8 len(gains), 32), and the quality of the plain one.
    """
    variants = [cv2.convertScaleAbs(crop, alpha=gain) for gain in gains]
    codes = np.concatenate([orientation_codes(variant) for variant in variants])
    return codes, perceptual_hash(crop).quality


def cut_eval_images(
    images: Iterable[tuple[Origin, np.ndarray]],
    size: int,
    shares: Sequence[float] = (1.0, 0.5),
    step: float = 0.5,
    gains: Sequence[float] = GAINS,
) -> EvalCrops:
    """Cut images of benchmarks into crops and hash them.

    Args:
        images: Origin and pixels, uint8 (H, W, 3) RGB, one after another.
        size: See :func:`eval_windows`.
        shares: See :func:`eval_windows`.
        step: See :func:`eval_windows`.
        gains: See :func:`hash_eval_crop`.

    Returns:
        The crops, without features.
    """
    origins: list[Origin] = []
    numbers: list[int] = []
    windows: list[np.ndarray] = []
    codes: list[np.ndarray] = []
    quality: list[float] = []
    for origin, pixels in images:
        height, width = pixels.shape[:2]
        own = eval_windows(width, height, size, shares, step)
        for crop in crops_of(pixels, own):
            found = hash_eval_crop(crop, gains)
            codes.append(found[0])
            quality.append(found[1])
        numbers += [len(origins)] * len(own)
        windows.append(own)
        origins.append(origin)
    return EvalCrops(
        origins,
        np.array(numbers, np.int32),
        np.concatenate([np.zeros((0, 4), np.int64), *windows]),
        np.array(codes, np.uint8).reshape(-1, NUM_ORIENTATIONS * len(gains), 32),
        np.array(quality, np.float32),
    )


def crops_of(pixels: np.ndarray, windows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pixels of windows.

    Args:
        pixels: uint8, (H, W, 3).
        windows: int, (n, 4): x, y, width, height.

    Yields:
        uint8, (height, width, 3), contiguous.
    """
    for x, y, width, height in np.asarray(windows).tolist():
        yield np.ascontiguousarray(pixels[y : y + height, x : x + width])
