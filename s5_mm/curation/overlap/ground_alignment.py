"""Do two crops show the same ground, at any scale, turn, reflection and overlap?

Key points are matched, a similarity is fitted to them, one crop is laid over the other
and their pixels are correlated.  Phase correlation was left aside: it needs every scale
and orientation to be tried, key points find both at once.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

MIN_CORRELATION = 0.75
MIN_OVERLAP = 0.15
"""What :func:`same_ground` asks for.  Measured with
``benchmark_leakage.py`` of commit 89f9410 on tiles of four collections."""

# SIFT's default of 0.04 finds too few points in fields and forest.
_CONTRAST = 0.02
_MAX_POINTS = 500
# A descriptor must be this much closer to its match than to the next (Lowe 2004).
_RATIO = 0.8
_RESIDUAL = 3.0  # pixels
_MIN_INLIERS = 6
_MIN_SCALE = 0.2
# Fewer pixels correlate by chance.
_MIN_PIXELS = 1024


class KeyPoints(NamedTuple):
    """Key points of a crop.

    Attributes:
        grey: Its luminance, uint8 (H, W).
        points: x and y in pixels, float32 (n, 2).
        descriptors: Unit length, float32 (n, 128).
    """

    grey: np.ndarray
    points: np.ndarray
    descriptors: np.ndarray


class Alignment(NamedTuple):
    """How two crops lie on each other.

    Attributes:
        correlation: Of the luminance where they overlap, -1 to 1; brightness and
            contrast do not matter.
        overlap: Area that they share, as a share of the smaller one, 0 to 1.
        matrix: From pixels of the first crop to pixels of the second, float64 (2, 3).
    """

    correlation: float
    overlap: float
    matrix: np.ndarray


def find_key_points(crop: np.ndarray) -> KeyPoints:
    """Describe a crop for :func:`align`.

    Args:
        crop: uint8, (H, W, 3), RGB.

    Returns:
        Its key points: SIFT, with descriptors as Arandjelovic and Zisserman (2012)
        compare them.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    sift = cv2.SIFT.create(nfeatures=_MAX_POINTS, contrastThreshold=_CONTRAST)
    # OpenCV's stubs want a mask.
    found, descriptors = sift.detectAndCompute(grey, None)  # type: ignore[call-overload]
    if descriptors is None:
        return KeyPoints(grey, np.zeros((0, 2), np.float32), np.zeros((0, 128), 'f4'))
    shares = descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-9)
    points = np.array([point.pt for point in found], np.float32)
    return KeyPoints(grey, points, np.sqrt(shares))


def align(first: KeyPoints, second: KeyPoints) -> Alignment | None:
    """Lay a crop over another one that is not its mirror image.

    Args:
        first: One crop.
        second: The other.

    Returns:
        The alignment; None if too few key points agree on one.
    """
    if min(len(first.points), len(second.points)) < _MIN_INLIERS:
        return None
    matches = _mutual_matches(first.descriptors, second.descriptors)
    if len(matches) < _MIN_INLIERS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        first.points[matches[:, 0]],
        second.points[matches[:, 1]],
        ransacReprojThreshold=_RESIDUAL,
    )
    if matrix is None or inliers.sum() < _MIN_INLIERS:
        return None
    scale = float(np.hypot(*matrix[:, 0]))
    if not _MIN_SCALE <= scale <= 1 / _MIN_SCALE:
        return None
    if scale <= 1:
        return _compare(first.grey, second.grey, matrix, scale)
    back = cv2.invertAffineTransform(matrix)
    found = _compare(second.grey, first.grey, back, 1 / scale)
    return None if found is None else found._replace(matrix=matrix)


def same_ground(
    first: KeyPoints,
    second: KeyPoints,
    mirrored: KeyPoints,
    min_correlation: float = MIN_CORRELATION,
    min_overlap: float = MIN_OVERLAP,
) -> Alignment | None:
    """Decide whether two crops show the same ground.

    Args:
        first: One crop.
        second: The other.
        mirrored: The mirror image (``np.fliplr``) of the second.
        min_correlation: Correlation that confirms it.
        min_overlap: Overlap that is needed.

    Returns:
        The better one of the alignments with the second and with its mirror image, if
        it confirms it, else None.
    """
    found = [align(first, other) for other in (second, mirrored)]
    good = [
        alignment
        for alignment in found
        if alignment is not None
        and alignment.correlation >= min_correlation
        and alignment.overlap >= min_overlap
    ]
    return max(good, key=lambda alignment: alignment.correlation, default=None)


def _mutual_matches(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pair descriptors that are each other's nearest, and clearly so: int (n, 2)."""
    cosine = first @ second.T
    nearest = cosine.argmax(1)
    best = cosine[np.arange(len(first)), nearest]
    runner_up = np.partition(cosine, -2, axis=1)[:, -2]
    # Squared distances of unit vectors are 2 - 2 cosine.
    clear = 1 - best < _RATIO**2 * (1 - runner_up)
    mutual = cosine.argmax(0)[nearest] == np.arange(len(first))
    kept = np.flatnonzero(clear & mutual)
    return np.stack([kept, nearest[kept]], 1)


def _compare(
    finer: np.ndarray, coarser: np.ndarray, matrix: np.ndarray, scale: float
) -> Alignment | None:
    """Correlate in the pixels of the coarser crop, so that nothing is made up."""
    height, width = coarser.shape
    sides = [max(round(side * scale), 1) for side in finer.shape]
    small = cv2.resize(finer, sides[::-1], interpolation=cv2.INTER_AREA)
    # From pixels of the reduced picture, whose centres lie at whole numbers too.
    ratio = np.array([finer.shape[1] / sides[1], finer.shape[0] / sides[0]])
    reduced = matrix.copy()
    reduced[:, :2] *= ratio
    reduced[:, 2] += matrix[:, :2] @ (ratio / 2 - 0.5)
    laid = cv2.warpAffine(small, reduced, (width, height), flags=cv2.INTER_LINEAR)
    inside = np.full(small.shape, 255, np.uint8)
    shared = cv2.warpAffine(inside, reduced, (width, height)) == 255
    pixels = int(shared.sum())
    if pixels < _MIN_PIXELS:
        return None
    # Key points miss by parts of a pixel, which fine texture does not forgive.
    pair = [cv2.GaussianBlur(grey, (0, 0), 1.0)[shared] for grey in (laid, coarser)]
    first, second = (values.astype(np.float64) - values.mean() for values in pair)
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    correlation = float(first @ second) / norm if norm > 0 else 0.0
    overlap = pixels / min(small.size, coarser.size)
    return Alignment(correlation, min(overlap, 1.0), matrix)
