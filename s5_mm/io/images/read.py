"""Images and masks from files: fast where the file is good, strict where it is not.

A good 512x512 RGB file is decoded by OpenCV (JPEG 1.35 ms against Pillow's 1.50,
PNG 8.2 against 9.4, one thread); what decides whether it is good are its own bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from .header import (
    MAX_PIXELS,
    ImageError,
    ImageHeader,
    check_complete,
    is_address,
    parse_header,
)
from .layout import AlphaPolicy, GreyPolicy, check_colours, check_mask_layout
from .raster import (
    Window,
    check_window,
    is_raster,
    open_raster,
    raster_header,
    read_raster,
    read_raster_header,
)
from .raster_mask import share_without_data
from .sample_depth import SampleRange, to_8_bits

NoDataNote = Callable[[str, float], None]
"""Called with the name of an image and the share of its pixels without data."""

_READ_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # OpenCV 4.11


def read_image(
    path: str,
    alpha: AlphaPolicy = 'error',
    grey: GreyPolicy = 'error',
    window: Window | None = None,
    sample_range: SampleRange | None = None,
    note: NoDataNote | None = None,
) -> np.ndarray:
    """Read an 8-bit RGB image, or a window of it.

    Args:
        path: The file: JPEG, PNG, TIFF or what else GDAL (through rasterio) or Pillow
            reads; or an address that GDAL reads, such as ``https://...``,
            ``zip+file://...!...`` and ``/vsicurl/...``.  The format is told from the
            bytes, not from the suffix, and the EXIF orientation is not applied: a mask
            has none.
        alpha: ``'drop'`` reads the colours of an image with an alpha channel and
            forgets its alpha.
        grey: ``'repeat'`` reads a greyscale image with its channel three times; one
            whose 0 is white is inverted.
        window: x, y, width and height in pixels.  Of a raster no more is decoded; JPEG
            and PNG have no random access.  None: all of the image.
        sample_range: Samples that become 0 and 255, of images of 9 to 16 bits; those
            of 8 bits stay.  None refuses more than 8 bits.
        note: Told of pixels without data (no-data value, mask or alpha 0), which are
            read as image all the same.

    Returns:
        uint8, shape (H, W, 3), RGB.

    Raises:
        ImageError: If the file is missing, empty, truncated or damaged, is not an
            8-bit RGB image and no option accepts what it is, or does not hold the
            window.
    """
    data = _read_bytes(path)
    if data is None or (sample_range is not None and parse_header(data, path).deep):
        with open_raster(path) as source:
            header = raster_header(source, path, None if window else MAX_PIXELS)
            check_colours(header, path, alpha, grey, sample_range)
            bands = read_raster(source, path, window)
            if note is not None and (share := share_without_data(source, window)):
                note(path, share)
        bands = to_8_bits(
            bands[:3] if header.channels >= 3 else bands[:1], header, path, sample_range
        )
        bands = bands if len(bands) == 3 else bands[[0, 0, 0]]
        return np.ascontiguousarray(bands.transpose(1, 2, 0))
    image = decode_image(data, path, alpha, grey, note)
    if window is None:
        return image
    x, y, width, height = window
    check_window(window, image.shape[1], image.shape[0], path)
    return np.ascontiguousarray(image[y : y + height, x : x + width])


def decode_image(
    data: bytes,
    path: str,
    alpha: AlphaPolicy = 'error',
    grey: GreyPolicy = 'error',
    note: NoDataNote | None = None,
) -> np.ndarray:
    """Decode an 8-bit RGB image from the bytes of a JPEG, PNG or what Pillow reads.

    Args:
        data: All of its bytes.
        path: Its name, for messages.
        alpha: See :func:`read_image`.
        grey: See :func:`read_image`.
        note: See :func:`read_image`.

    Returns:
        uint8, shape (H, W, 3), RGB.

    Raises:
        ImageError: As :func:`read_image`.
    """
    header = decode_header(data, path)
    check_colours(header, path, alpha, grey)
    if header.format not in ('JPEG', 'PNG'):
        image = _pillow(data, header, path)
        if note is not None and header.alpha:
            _note_alpha(np.array(image.getchannel('A')), path, note)
        return np.array(image.convert('RGB'))
    if note is None or not _is_transparent(data, header):
        return _opencv(data, _READ_RGB, header, path)
    # The same colours, in the same time, with their alpha.
    pixels = _opencv(data, cv2.IMREAD_UNCHANGED, header, path)
    _note_alpha(cv2.extractChannel(pixels, 3), path, note)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB)


def read_mask(path: str) -> np.ndarray:
    """Read a map of class ids.

    A palette's indices are the ids, whatever its colours are; samples of fewer than
    8 bits keep their value; 16-bit samples are accepted as long as they fit.

    Args:
        path: The file: PNG, TIFF or another lossless format with one channel.

    Returns:
        uint8, shape (H, W), values as stored.

    Raises:
        ImageError: If the file is missing, empty, truncated or damaged, has several
            channels, is a JPEG, or holds values outside 0..255.
    """
    data = _read_bytes(path)
    if data is None:
        with open_raster(path) as source:
            check_mask_layout(raster_header(source, path), path)
            return _as_ids(read_raster(source, path)[0], path)
    header = parse_header(data, path)
    check_mask_layout(header, path)
    check_complete(data, header, path)
    if header.format == 'PNG' and header.bits == 8 and not header.palette:
        return _opencv(data, cv2.IMREAD_GRAYSCALE, header, path)
    values = np.array(_pillow(data, header, path))
    if header.format == 'PNG' and header.bits in (2, 4) and not header.palette:
        # Pillow stretches the samples to 0..255.
        values //= 255 // (2**header.bits - 1)
    return _as_ids(values, path)


def read_header(path: str, whole: bool = True) -> ImageHeader:
    """Read what a file declares, and whether it is all there, without decoding it.

    Args:
        path: The file.
        whole: Refuse a raster that is too large to be decoded whole; windows of it are
            read all the same.

    Returns:
        Its header.

    Raises:
        ImageError: If the file is missing, empty, truncated or no image.
    """
    data = _read_bytes(path)
    if data is None:
        return read_raster_header(path, MAX_PIXELS if whole else None)
    return decode_header(data, path)


def decode_header(data: bytes, path: str) -> ImageHeader:
    """Read what the bytes of a file declare that rasterio does not read.

    Args:
        data: All of its bytes.
        path: Its name, for messages.

    Returns:
        Its header.

    Raises:
        ImageError: If it is truncated or no image.
    """
    header = parse_header(data, path)
    check_complete(data, header, path)
    return header


def _read_bytes(path: str) -> bytes | None:
    """Read a file; None if it is one that rasterio reads itself."""
    if is_address(path):
        return None
    try:
        # Unbuffered: two copies of the file less.
        with open(path, 'rb', buffering=0) as file:
            data = file.read(256)
            if data and is_raster(path, data):
                return None
            file.seek(0)
            data = file.read()
    except FileNotFoundError as error:
        raise ImageError(path, 'the file does not exist') from error
    except IsADirectoryError as error:
        raise ImageError(path, 'is a directory, expected an image file') from error
    except (OSError, ValueError) as error:
        detail = getattr(error, 'strerror', None) or error
        raise ImageError(path, f'the file cannot be read ({detail})') from error
    if not data:
        raise ImageError(path, 'the file is empty (0 bytes), expected an image')
    return data


def _is_transparent(data: bytes, header: ImageHeader) -> bool:
    """Return whether OpenCV finds alpha in a PNG or JPEG, or makes it of a colour."""
    if header.format != 'PNG' or header.alpha:
        return header.alpha
    return header.channels == 3 and b'tRNS' in data[: data.find(b'IDAT')]


def _note_alpha(alpha: np.ndarray, path: str, note: NoDataNote) -> None:
    """Note the share of pixels whose alpha is 0."""
    if share := 1 - cv2.countNonZero(alpha) / alpha.size:
        note(path, share)


def _opencv(data: bytes, flags: int, header: ImageHeader, path: str) -> np.ndarray:
    """Decode by OpenCV and hold the result against the header."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(path, f'cannot be decoded ({error.err})') from error
    if image is None:
        raise ImageError(path, f'damaged {header.format}: it cannot be decoded')
    if image.shape[:2] != (header.height, header.width):
        raise ImageError(
            path,
            f'damaged {header.format}: decoded to {image.shape[1]}x{image.shape[0]} '
            f'px, the header declares {header.width}x{header.height}',
        )
    return image


def _pillow(data: bytes, header: ImageHeader, path: str) -> Image.Image:
    """Decode by Pillow."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        raise ImageError(
            path, f'damaged {header.format}: it cannot be decoded ({error})'
        ) from error
    return image


def _as_ids(values: np.ndarray, path: str) -> np.ndarray:
    """Bring the values of a mask to 8 bits, if they fit."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in 'bui':
        raise ImageError(path, f'{values.dtype} mask, expected integer class ids')
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 255:
        raise ImageError(
            path,
            f'mask of {values.dtype} with values {low}..{high}, expected class ids '
            'in 0..255',
        )
    return values.astype(np.uint8)
