"""Rows of images of any size, within bounded memory.

A PNG or JPEG of up to 2^26 pixels is decoded whole by OpenCV.  TIFF files and whatever
else GDAL reads, larger images and those of 16 bits are read through rasterio a band of
rows after another, from the top down: formats without tiles are decoded once, and only
the rows that the windows still need are kept (0.9 GB for a PNG of 30,000x30,000,
``benchmark_dota_split.py`` of commit 7a86ab8).  Without rasterio, 8-bit PNG and JPEG
of up to 2^28 pixels are decoded whole all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from .header import (
    MAX_PIXELS,
    ImageError,
    ImageHeader,
    image_format,
    is_address,
    parse_header,
)
from .layout import check_colours
from .raster import block_cache, is_raster, open_raster, read_raster_header, reason_of
from .read import read_image
from .sample_depth import (
    HIGH_BYTE,
    SampleRange,
    advised_range,
    check_high_byte,
    to_8_bits,
)

# Holds the header of all but JPEGs with a long preamble.
_HEAD = 2**16
_WHOLE_PIXELS = 2**26


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

    No row is decoded twice but those of tiles that two bands share, so GDAL keeps few
    blocks: its own cache, 5 % of the memory, is more than all the rest.

    Args:
        path: The file.
        header: Its header.
        sample_range: See :func:`open_rows`.

    Raises:
        ImageError: If it cannot be opened, its samples leave nothing in the high byte
            that is asked for, or rasterio is not installed.
    """

    def __init__(
        self, path: str, header: ImageHeader, sample_range: SampleRange | None = None
    ) -> None:
        self.path, self.header, self.sample_range = path, header, sample_range
        what = 'TIFF' if header.format == 'TIFF' else f'large or 16-bit {header.format}'
        self._source: Any = open_raster(path, what)
        self._bands = [1, 2, 3] if header.channels >= 3 else [1, 1, 1]
        self._start = 0
        self._rows: np.ndarray = np.empty((0, header.width, 3), np.uint8)
        if sample_range == HIGH_BYTE and self._source.dtypes[0] == 'uint16':
            with self._decoding('samples'):
                check_high_byte(self._source, sorted(set(self._bands)), path)

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
        window = ((start, stop), (0, self.header.width))
        with self._decoding(f'rows {start} to {stop}'):
            bands = self._source.read(self._bands, window=window)
        bands = to_8_bits(bands, self.header, self.path, self.sample_range)
        return bands.transpose(1, 2, 0)

    @contextmanager
    def _decoding(self, what: str) -> Iterator[None]:
        """Bound what is cached, and explain what fails."""
        try:
            with block_cache():
                yield
        except ImageError:
            raise
        except Exception as error:
            raise ImageError(
                self.path,
                f'truncated or damaged {self.header.format}: {what} cannot be decoded '
                f'({reason_of(error)})',
            ) from error


def read_image_header(
    path: str, high_byte: bool = False, sample_range: SampleRange | None = None
) -> ImageHeader:
    """Read what an image of any size declares, without reading its pixels.

    Args:
        path: The file, or an address that GDAL reads.
        high_byte: Accept 16-bit samples too.
        sample_range: Accept samples of 9 to 16 bits too.

    Returns:
        Its header.

    Raises:
        ImageError: If the file is missing, empty or no image, or one that cannot be
            taken as RGB: with a palette, of other bits or other channels.
    """
    return _read_header(path, high_byte, sample_range)[0]


def open_rows(
    path: str,
    high_byte: bool = False,
    whole_pixels: int = _WHOLE_PIXELS,
    sample_range: SampleRange | None = None,
) -> ImageRows:
    """Open an image to read its rows from the top down.

    Alpha is dropped and grey repeated, as OpenCV's ``imread`` does in the host's
    splitter; the EXIF orientation is not applied, as boxes are drawn without it.

    Args:
        path: The file, or an address that GDAL reads.
        high_byte: Take the upper byte of 16-bit samples.
        whole_pixels: Largest image that is decoded whole, in pixels, if rasterio is
            installed.
        sample_range: Samples of 9 to 16 bits that become 0 and 255; it comes before
            ``high_byte``.

    Returns:
        Its rows.

    Raises:
        ImageError: As :func:`read_image_header`, if the file is damaged, or if its
            samples span so little that their high byte tells nothing.
    """
    header, raster = _read_header(path, high_byte, sample_range)
    if find_spec('rasterio') is None:
        whole_pixels = MAX_PIXELS
    large = header.width * header.height > whole_pixels
    if raster or header.bits > 8 or large:
        return StripImage(
            path, header, sample_range or (HIGH_BYTE if high_byte else None)
        )
    return WholeImage(path)


def _read_header(
    path: str, high_byte: bool, sample_range: SampleRange | None
) -> tuple[ImageHeader, bool]:
    """Read and check a header; also return whether rasterio alone reads the file."""
    data = _head(path)
    if data is None:
        header = read_raster_header(path, None)
    else:
        header = parse_header(data, path, None)
    deep = header.deep and not header.palette
    if deep and sample_range is None and not (high_byte and header.bits == 16):
        ends = advised_range(header)
        option = ends.strip('()').replace(',', '')
        advice = (
            '; --high-byte takes the upper 8 bits where the samples use all 16'
            if header.bits == 16
            else ''
        )
        raise ImageError(
            path,
            f'{header.format} with {header.bits}-bit samples, expected 8-bit RGB; '
            f'scale them to 8 bits: --sample-range {option} of '
            f'tools/segment_raster.py, sample_range={ends} of s5_mm.LoadImage, or '
            f'gdal_translate -ot Byte -scale {option} 0 255{advice}',
        )
    declared = header._replace(bits=8) if deep else header
    check_colours(declared, path, alpha='drop', grey='repeat')
    return header, data is None


def _head(path: str) -> bytes | None:
    """Read as much of a file as holds its header; None if rasterio reads it."""
    if is_address(path):
        return None
    try:
        with open(path, 'rb') as file:
            data = file.read(_HEAD)
            if data and is_raster(path, data):
                return None
            if image_format(data) is None or _is_cut(data, path):
                data += file.read()
    except OSError as error:
        raise ImageError(path, f'the file cannot be read ({error.strerror})') from error
    if not data:
        raise ImageError(path, 'the file is empty (0 bytes), expected an image')
    return data


def _is_cut(data: bytes, path: str) -> bool:
    """Tell whether a long preamble of a JPEG hides its header."""
    if image_format(data) != 'JPEG' or len(data) < _HEAD:
        return False
    try:
        parse_header(data, path, None)
    except ImageError:
        return True
    return False
