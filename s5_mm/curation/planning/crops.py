"""Pixels of the windows of an image, which is decoded once, a band after another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from s5_mm.io.images.fill import SmallPolicy, fill_up
from s5_mm.io.images.rows import open_rows


def read_crops(
    path: str,
    windows: np.ndarray,
    size: int,
    small: SmallPolicy = 'reflect',
    high_byte: bool = False,
) -> Iterator[np.ndarray]:
    """Read windows of an image from the top down.

    JPEG, PNG and striped TIFF have no random access; read like this every row is
    decoded once, and only the rows of the current window are held: 46 MB of a 30,000-px
    wide image with windows of 512.  TIFF reads the rows through rasterio.

    Args:
        path: The file.
        windows: int, (n, 4): x, y, width, height in pixels, sorted by y.  Width and
            height are below ``size`` only where the image ends.
        size: Side of the crops in pixels.
        small: What fills a window that is smaller: its mirror image, repeated, or
            zeros.
        high_byte: Take the upper byte of 16-bit samples, which are refused otherwise.

    Yields:
        uint8, (size, size, 3), RGB, one a window.

    Raises:
        ImageError: If the file is missing, damaged or no image that can be taken as
            RGB; alpha is dropped and grey repeated.
        ValueError: If the windows are not sorted or not inside the image.
    """
    windows = np.asarray(windows, np.int64).reshape(-1, 4)
    if len(windows) and (np.diff(windows[:, 1]) < 0).any():
        raise ValueError(f'{path}: the windows must be sorted by y')
    rows = open_rows(path, high_byte)
    try:
        for x, y, width, height in windows.tolist():
            pixels = rows.read(y, y + height)[:, x : x + width]
            if pixels.shape[:2] != (height, width):
                raise ValueError(
                    f'{path}: the window x={x} y={y} {width}x{height} px is not '
                    f'inside the image, {pixels.shape[1]}x{pixels.shape[0]} px of it '
                    'are; the file has changed since it was planned'
                )
            yield fill_up(pixels, size, small)
    finally:
        rows.close()
