"""Rows of images of any size, within bounded memory.

A PNG or JPEG of up to 2^26 pixels is decoded whole by OpenCV.  TIFF files, larger
images and those of 16 bits are read through rasterio a band of rows after another, from
the top down: formats without tiles are decoded once, and only the rows that the windows
still need are kept (0.9 GB for a PNG of 30,000x30,000,
``tools/analysis_tools/benchmark_dota_split.py``).  Without rasterio, 8-bit PNG and JPEG
of up to 2^28 pixels are decoded whole all the same.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from ..image_header import (
    MAX_PIXELS,
    ImageError,
    ImageHeader,
    image_format,
    parse_header,
)
from ..image_io import check_colours, read_image
from ..raster_io import open_raster, read_tiff_header

# Holds the header of all but JPEGs with a long preamble.
_HEAD = 2**16
_WHOLE_PIXELS = 2**26
# Cache of decoded blocks in MB.  No row is decoded twice but those of tiles that two
# bands share; GDAL's own default, 5 % of the memory, is more than all the rest.
_CACHE = 64


class ImageRows(Protocol):
    """An open image that gives its rows."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows.

        Args:
            start: First row, not before that of the last call.
            stop: Row after the last one; beyond the image there is nothing.

        Returns:
            uint8, shape (rows, W, 3), RGB.

        Raises:
            ImageError: If the file is damaged.
        """

    def close(self) -> None:
        """Give back what is held."""


class WholeImage:
    """Rows of an image that is decoded at once.

    Args:
        path: The file.

    Raises:
        ImageError: If it cannot be decoded as RGB.
    """

    def __init__(self, path: str) -> None:
        self._image = read_image(path, alpha='drop', grey='repeat')

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :class:`ImageRows`."""
        return self._image[start:stop]

    def close(self) -> None:
        """See :class:`ImageRows`."""
        del self._image


class StripImage:
    """Rows of an image that is read from the top down.

    Args:
        path: The file.
        header: Its header.

    Raises:
        ImageError: If it cannot be opened or rasterio is not installed.
    """

    def __init__(self, path: str, header: ImageHeader) -> None:
        self.path, self.header = path, header
        what = 'TIFF' if header.format == 'TIFF' else f'large or 16-bit {header.format}'
        self._source: Any = open_raster(path, what)
        self._bands = [1, 2, 3] if header.channels >= 3 else [1, 1, 1]
        self._start = 0
        self._rows = np.empty((0, header.width, 3), np.uint8)

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :class:`ImageRows`."""
        stop = min(stop, self.header.height)
        have = self._start + len(self._rows)
        kept = self._rows[start - self._start :]
        self._start = start
        if stop > have:
            kept = np.concatenate([kept, self._decode(max(have, start), stop)])
        self._rows = kept
        return kept[: stop - start]

    def close(self) -> None:
        """See :class:`ImageRows`."""
        self._source.close()

    def _decode(self, start: int, stop: int) -> np.ndarray:
        """Decode rows that were not read before."""
        import rasterio

        window = ((start, stop), (0, self.header.width))
        try:
            with rasterio.Env(GDAL_CACHEMAX=_CACHE):
                bands = self._source.read(self._bands, window=window)
        except Exception as error:
            raise ImageError(
                self.path,
                f'truncated or damaged {self.header.format}: rows {start} to {stop} '
                f'cannot be decoded ({error.__cause__ or error})',
            ) from error
        if bands.dtype == np.uint16:
            bands = (bands >> 8).astype(np.uint8)
        if bands.dtype != np.uint8:
            raise ImageError(self.path, f'{bands.dtype} samples, expected uint8')
        return bands.transpose(1, 2, 0)


def read_image_header(path: str, high_byte: bool = False) -> ImageHeader:
    """Read what an image of any size declares, without reading its pixels.

    Args:
        path: The file.
        high_byte: Accept 16-bit samples too.

    Returns:
        Its header.

    Raises:
        ImageError: If the file is missing, empty or no image, or one that cannot be
            taken as RGB: with a palette, of other bits or other channels.
    """
    try:
        with open(path, 'rb') as file:
            data = file.read(_HEAD)
            if image_format(data) is None or _is_cut(data, path):
                data += file.read()
    except OSError as error:
        raise ImageError(path, f'the file cannot be read ({error.strerror})') from error
    if not data:
        raise ImageError(path, 'the file is empty (0 bytes), expected an image')
    if image_format(data) == 'TIFF':
        header = read_tiff_header(path, None)
    else:
        header = parse_header(data, path, None)
    sixteen = header.bits == 16 and not header.palette
    if sixteen and not high_byte:
        raise ImageError(
            path,
            f'{header.format} with 16-bit samples, expected 8-bit RGB; rescale the '
            'file to 8 bits, or --high-byte takes the upper 8 of the 16 bits',
        )
    declared = header._replace(bits=8) if sixteen else header
    check_colours(declared, path, alpha='drop', grey='repeat')
    return header


def open_rows(
    path: str, high_byte: bool = False, whole_pixels: int = _WHOLE_PIXELS
) -> ImageRows:
    """Open an image to read its rows from the top down.

    Alpha is dropped and grey repeated, as OpenCV's ``imread`` does in the host's
    splitter; the EXIF orientation is not applied, as boxes are drawn without it.

    Args:
        path: The file.
        high_byte: Take the upper byte of 16-bit samples.
        whole_pixels: Largest image that is decoded whole, in pixels, if rasterio is
            installed.

    Returns:
        Its rows.

    Raises:
        ImageError: As :func:`read_image_header`, or if the file is damaged.
    """
    header = read_image_header(path, high_byte)
    if find_spec('rasterio') is None:
        whole_pixels = MAX_PIXELS
    large = header.width * header.height > whole_pixels
    if header.format == 'TIFF' or header.bits == 16 or large:
        return StripImage(path, header)
    return WholeImage(path)


def _is_cut(data: bytes, path: str) -> bool:
    """Tell whether a long preamble of a JPEG hides its header."""
    if image_format(data) != 'JPEG' or len(data) < _HEAD:
        return False
    try:
        parse_header(data, path, None)
    except ImageError:
        return True
    return False
