"""TIFF files, and large files of any format, through rasterio where it is installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .image_header import MAX_PIXELS, ImageError, ImageHeader, check_size

Window = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


def read_tiff_header(path: str, max_pixels: int | None = MAX_PIXELS) -> ImageHeader:
    """Read what a TIFF declares.

    Args:
        path: The file.
        max_pixels: Largest image that is accepted; None if it is not decoded whole.

    Returns:
        Size, bands and kind of the samples; floating point counts as its bits.

    Raises:
        ImageError: If it cannot be opened or rasterio is not installed.
    """
    with open_raster(path) as source:
        return _header(source, path, max_pixels)


def read_tiff(
    path: str, window: Window | None = None
) -> tuple[np.ndarray, ImageHeader]:
    """Decode a TIFF, or a window of it, as it is stored.

    Args:
        path: The file.
        window: x, y, width and height in pixels, inside the image; only its blocks are
            read, of an image of any size.  None: all of it.

    Returns:
        The samples, shape (bands, H, W), in the file's type, and the header.

    Raises:
        ImageError: If it cannot be decoded, does not hold the window, or rasterio is
            not installed.
    """
    with open_raster(path) as source:
        if window is None:
            header, rows_and_columns = _header(source, path), None
        else:
            header = _header(source, path, None)
            check_window(window, header.width, header.height, path)
            x, y, width, height = window
            rows_and_columns = ((y, y + height), (x, x + width))
        try:
            return source.read(window=rows_and_columns), header
        except Exception as error:
            raise ImageError(path, f'truncated or damaged TIFF ({error})') from error


def check_window(window: Window, width: int, height: int, path: str) -> None:
    """Refuse a window that is not inside an image.

    Args:
        window: x, y, width and height in pixels.
        width: Columns of the image.
        height: Rows of the image.
        path: The file.

    Raises:
        ImageError: If it is not.
    """
    x, y, columns, rows = window
    if (
        min(x, y) < 0
        or min(columns, rows) < 1
        or x + columns > width
        or (y + rows > height)
    ):
        raise ImageError(
            path,
            f'the window x={x} y={y} {columns}x{rows} px is not inside the image of '
            f'{width}x{height} px; the file has changed since the manifest was made',
        )


def open_raster(path: str, what: str = 'TIFF') -> Any:
    """Open a file for reading windows of it.

    Args:
        path: The file.
        what: What kind of file it is, for the message.

    Returns:
        An open dataset of rasterio, a context manager.

    Raises:
        ImageError: If it cannot be opened or rasterio is not installed.
    """
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise ImageError(
            path,
            f'{what} files are read through rasterio, which is not installed: '
            "pip install 's5_mm[geo]'",
        ) from error
    try:
        with warnings.catch_warnings():
            # A tile without coordinates is as good for training as any other.
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            return rasterio.open(path)
    except Exception as error:
        raise ImageError(
            path, f'damaged {what}: it cannot be opened ({error})'
        ) from error


def _header(source: Any, path: str, max_pixels: int | None = MAX_PIXELS) -> ImageHeader:
    """Describe an open TIFF."""
    kinds = [kind.name for kind in source.colorinterp]
    if len(set(source.dtypes)) != 1:
        raise ImageError(path, f'bands of different types {source.dtypes}')
    header = ImageHeader(
        'TIFF',
        source.width,
        source.height,
        source.count,
        np.dtype(source.dtypes[0]).itemsize * 8,
        palette='palette' in kinds,
        alpha=kinds[-1] == 'alpha',
    )
    check_size(header, path, max_pixels)
    return header
