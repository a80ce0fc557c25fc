"""Where the patches of a large image lie."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

# Windows whose share of image is this close to the best one count as good as it.
_SAME_RATE = 0.01


def scale_windows(
    sizes: Sequence[int], gaps: Sequence[int], rates: Sequence[float]
) -> tuple[list[int], list[int]]:
    """Divide sizes and gaps by the rates of a multi-scale split.

    The image is not resized: at rate 0.5 a patch is twice as large.

    Args:
        sizes: Sides of the windows in pixels.
        gaps: Overlap of neighbouring windows in pixels, one a size.
        rates: Each gives every size once.

    Returns:
        Sizes and gaps in whole pixels, rounded down.

    Raises:
        ValueError: If the lists do not fit or a window would not move.
    """
    if not sizes or len(sizes) != len(gaps):
        raise ValueError(
            f'sizes={list(sizes)} and gaps={list(gaps)}, expected one gap a size'
        )
    if not rates or not all(rate > 0 for rate in rates):
        raise ValueError(f'rates={list(rates)}, expected numbers above 0')
    scaled = [
        (int(size / rate), int(gap / rate))
        for rate in rates
        for size, gap in zip(sizes, gaps, strict=True)
    ]
    for size, gap in scaled:
        if not 0 <= gap < size:
            raise ValueError(
                f'size {size} with gap {gap}, expected 0 <= gap < size in pixels'
            )
    return [size for size, _ in scaled], [gap for _, gap in scaled]


def sliding_windows(
    width: int,
    height: int,
    sizes: Sequence[int],
    gaps: Sequence[int],
    img_rate_thr: float = 0.6,
) -> np.ndarray:
    """Lay windows over an image, as mmrotate's ``img_split.py`` does.

    The last window of a row or column is shifted back to end with the image; an image
    smaller than the window gets one, which reaches beyond it.  Of windows of several
    sizes, those with too little image are left out; if all have too little, those with
    the most are kept, so that no image goes without patch.

    Args:
        width: Columns of the image.
        height: Rows of the image.
        sizes: Sides of the windows in pixels.
        gaps: Overlap of neighbouring windows in pixels, one a size.
        img_rate_thr: Share of a window that must be image, more than this.

    Returns:
        int64, shape (n, 4): x0, y0, x1, y1 with the end exclusive, each window once,
        sorted by y0, then x0, then size.
    """
    found = []
    for size, gap in zip(sizes, gaps, strict=True):
        y0, x0 = np.meshgrid(
            _starts(height, size, gap), _starts(width, size, gap), indexing='ij'
        )
        y0, x0 = y0.ravel(), x0.ravel()
        found.append(np.stack([y0, x0, y0 + size, x0 + size], 1))
    # Rates that round to the same size give the same window, and the same file, twice.
    windows = np.unique(np.concatenate(found), axis=0)[:, [1, 0, 3, 2]]
    seen = np.minimum(windows[:, 2:], (width, height)) - windows[:, :2]
    rates = seen.prod(1) / (windows[:, 2:] - windows[:, :2]).prod(1)
    keep = rates > img_rate_thr
    if not keep.any():
        keep = abs(rates - rates.max()) < _SAME_RATE
    return windows[keep]


def patch_name(image: str, window: Sequence[int]) -> str:
    """Name a patch so that predictions on it can be merged.

    Args:
        image: Name of the image without suffix.
        window: x0, y0, x1, y1.

    Returns:
        ``<image>__<size>__<x0>___<y0>``, as mmrotate's ``DOTAMetric`` reads it.
    """
    x0, y0, x1, _ = (int(value) for value in window)
    return f'{image}__{x1 - x0}__{x0}___{y0}'


def _starts(length: int, size: int, gap: int) -> np.ndarray:
    """Give the starts of the windows along one side."""
    if length <= size:
        return np.zeros(1, np.int64)
    step = size - gap
    starts = np.arange(ceil((length - size) / step + 1), dtype=np.int64) * step
    return np.minimum(starts, length - size)
