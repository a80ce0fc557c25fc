"""TIFF files, and whatever else GDAL reads, through rasterio where it is installed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from .header import (
    MAX_PIXELS,
    ImageError,
    ImageHeader,
    check_size,
    image_format,
    is_address,
)
from .virtual_raster import check_sources

Window = tuple[int, int, int, int]
"""x, y, width and height in pixels."""

CACHE = 64 * 2**20
"""Bytes of decoded and of unwritten blocks that GDAL keeps in :func:`block_cache`."""

_JPEG2000 = (b'\0\0\0\x0cjP  ', b'\xff\x4f\xff\x51')
# GDAL's names of the formats that other modules know by Pillow's.
_NAMES = {'GTiff': 'TIFF', 'COG': 'TIFF', 'JP2OpenJPEG': 'JPEG2000'}


def is_raster(path: str, head: bytes) -> bool:
    """Return whether rasterio reads a file, rather than OpenCV or Pillow.

    Args:
        path: The file.
        head: Its first 16 bytes or more.
    """
    kind = image_format(head)
    if kind is not None:
        return kind == 'TIFF'
    if find_spec('rasterio') is None:
        return False
    if head.startswith(_JPEG2000):
        return True
    # Of texts only a VRT is an image; others tell GDAL of services in the network.
    if head.lstrip(b'\xef\xbb\xbf \t\r\n')[:1] in (b'<', b'{'):
        return b'<VRTDataset' in head
    try:
        with Image.open(path) as image:
            return isinstance(image, ImageFile.StubImageFile)
    except UnidentifiedImageError:
        return True
    except Exception:  # an image of Pillow's that is damaged
        return False


def read_raster_header(path: str, max_pixels: int | None = MAX_PIXELS) -> ImageHeader:
    """Read what a raster declares.

    Args:
        path: The file, or the address of one.
        max_pixels: Largest image that is accepted; None if it is not decoded whole.

    Returns:
        Size, bands and kind of the samples; floating point counts as its bits.

    Raises:
        ImageError: If it cannot be opened, holds several images, or rasterio is not
            installed.
    """
    with open_raster(path) as source:
        return raster_header(source, path, max_pixels)


def read_raster(source: Any, path: str, window: Window | None = None) -> np.ndarray:
    """Decode a raster, or a window of it, as it is stored.

    Args:
        source: The open raster.
        path: Its name, for messages.
        window: x, y, width and height in pixels, inside the image; only its blocks are
            read.  None: all of it.

    Returns:
        The samples, shape (bands, H, W), in the file's type.

    Raises:
        ImageError: If it cannot be decoded or does not hold the window.
    """
    if window is not None:
        check_window(window, source.width, source.height, path)
    try:
        return source.read(window=spans(window))
    except Exception as error:
        kind = _NAMES.get(source.driver, source.driver)
        raise ImageError(
            path, f'truncated or damaged {kind} ({reason_of(error)})'
        ) from error


def spans(window: Window | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return a window as rasterio takes it, rows and columns; None stays None."""
    if window is None:
        return None
    x, y, width, height = window
    return (y, y + height), (x, x + width)


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
        path: The file, or the address of one.
        what: What kind of file needs rasterio, for the message.

    Returns:
        An open dataset of rasterio, a context manager.

    Raises:
        ImageError: If it cannot be opened, is a VRT that reaches beyond files, or
            rasterio is not installed.
    """
    try:
        import rasterio
    except ImportError as error:
        raise ImageError(
            path,
            f'{what} files are read through rasterio, which is not installed: '
            "pip install 's5_mm[geo]'",
        ) from error
    try:
        with coordinates_optional():
            source = rasterio.open(path)
    except Exception as error:
        raise ImageError(path, _why_not_opened(path, error)) from error
    if source.driver == 'VRT':
        check_sources(source, path)
    return source


def raster_header(
    source: Any, path: str, max_pixels: int | None = MAX_PIXELS
) -> ImageHeader:
    """Describe an open raster.

    Args:
        source: The open raster.
        path: Its name, for messages.
        max_pixels: See :func:`read_raster_header`.

    Returns:
        Its header.

    Raises:
        ImageError: If its bands are of different types, or it is one of several pages
            or images of the file.
    """
    name = _NAMES.get(source.driver, source.driver)
    others = source.subdatasets
    if others:
        kind = 'pages' if name == 'TIFF' else 'images'
        raise ImageError(
            path,
            f'{name} of {len(others)} {kind}, expected one; stack them into the bands '
            'of one image, or write a file for each',
        )
    if len(set(source.dtypes)) != 1:
        raise ImageError(path, f'bands of different types {source.dtypes}')
    kinds = [kind.name for kind in source.colorinterp]
    layout = source.tags(ns='IMAGE_STRUCTURE')
    bits = source.tags(1, ns='IMAGE_STRUCTURE').get('NBITS')
    space = layout.get('SOURCE_COLOR_SPACE', 'RGB')
    inverted = layout.get('MINISWHITE') == 'YES'
    header = ImageHeader(
        name,
        source.width,
        source.height,
        source.count,
        int(bits or np.dtype(source.dtypes[0]).itemsize * 8),
        palette='palette' in kinds and not inverted,  # of GDAL's own, white to black
        alpha=kinds[-1] == 'alpha',
        inverted=inverted,
        space=space if space in ('CMYK', 'CIELAB') else 'RGB',
    )
    check_size(header, path, max_pixels)
    return header


@contextmanager
def coordinates_optional() -> Iterator[None]:
    """Open rasters without a warning of those that have no coordinates.

    A tile without them is as good for training as any other.
    """
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        yield


@contextmanager
def block_cache(size: int = CACHE) -> Iterator[None]:
    """Bound GDAL's cache of decoded blocks, of the whole process, for a while.

    ``rasterio.Env(GDAL_CACHEMAX=...)`` leaves its value behind where another ``Env``
    is around it.

    Args:
        size: Most bytes it keeps.
    """
    from rasterio.env import get_gdal_config, set_gdal_config

    before = get_gdal_config('GDAL_CACHEMAX')
    set_gdal_config('GDAL_CACHEMAX', size)
    try:
        yield
    finally:
        set_gdal_config('GDAL_CACHEMAX', before)


def reason_of(error: BaseException) -> str:
    """Return what GDAL says of an error, on one line."""
    return ' '.join(str(error.__cause__ or error).split())


def _why_not_opened(path: str, error: Exception) -> str:
    """Explain why GDAL does not open a file."""
    reason = reason_of(error)
    if 'missing codec' in reason:
        from rasterio import __gdal_version__

        codec = reason.rpartition('codec ')[2].rstrip('.')
        return (
            f'compressed with a codec ({codec}) that GDAL {__gdal_version__} of this '
            'environment lacks; compress it anew where GDAL has it: gdal_translate '
            '-co COMPRESS=DEFLATE'
        )
    if is_address(path):
        return f'cannot be opened ({reason})'
    with open(path, 'rb') as file:
        head = file.read(16)
    kind = 'VRT' if head.startswith(b'<VRTDataset') else image_format(head)
    if kind is not None:
        return f'damaged {kind}: it cannot be opened ({reason})'
    return (
        f'not an image: it starts with {head[:12]!r}, expected a JPEG, PNG, TIFF or '
        f'another file that GDAL reads ({reason})'
    )
