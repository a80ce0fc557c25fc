"""Images and masks from files: fast where the file is good, strict where it is not.

A good 512x512 RGB file is decoded by OpenCV (JPEG 1.35 ms against Pillow's 1.50,
PNG 8.2 against 9.4, one thread); what decides whether it is good are its own bytes.
"""

from __future__ import annotations

import io
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from .image_header import (
    MAX_PIXELS,
    ImageError,
    ImageHeader,
    check_complete,
    image_format,
    parse_header,
)
from .raster_io import Window, check_window, read_tiff, read_tiff_header

__all__ = ['ImageError', 'ImageHeader', 'read_header', 'read_image', 'read_mask']

AlphaPolicy = Literal['error', 'drop']
GreyPolicy = Literal['error', 'repeat']

_READ_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # OpenCV 4.11
_LAYOUTS = {1: 'greyscale', 2: 'greyscale with alpha', 3: 'RGB', 4: '4 channels'}


def read_image(
    path: str,
    alpha: AlphaPolicy = 'error',
    grey: GreyPolicy = 'error',
    window: Window | None = None,
) -> np.ndarray:
    """Read an 8-bit RGB image, or a window of it.

    Args:
        path: The file: JPEG, PNG, TIFF (through rasterio) or another format that
            Pillow reads.  The format is told from the bytes, not from the suffix,
            and the EXIF orientation is not applied: a mask has none.
        alpha: ``'drop'`` reads the colours of an image with an alpha channel and
            forgets its alpha.
        grey: ``'repeat'`` reads a greyscale image with its channel three times.
        window: x, y, width and height in pixels.  Of a TIFF no more is decoded; other
            formats have no random access.  None: all of the image.

    Returns:
        uint8, shape (H, W, 3), RGB.

    Raises:
        ImageError: If the file is missing, empty, truncated or damaged, is not an
            8-bit RGB image and no option accepts what it is, or does not hold the
            window.
    """
    data = _read_bytes(path)
    if image_format(data) == 'TIFF':
        bands, header = read_tiff(path, window)
        check_colours(header, path, alpha, grey)
        if bands.dtype != np.uint8:
            raise ImageError(path, f'{bands.dtype} samples, expected uint8')
        bands = bands[:3] if header.channels >= 3 else bands[[0, 0, 0]]
        return np.ascontiguousarray(bands.transpose(1, 2, 0))
    image = decode_image(data, path, alpha, grey)
    if window is None:
        return image
    x, y, width, height = window
    check_window(window, image.shape[1], image.shape[0], path)
    return np.ascontiguousarray(image[y : y + height, x : x + width])


def decode_image(
    data: bytes, path: str, alpha: AlphaPolicy = 'error', grey: GreyPolicy = 'error'
) -> np.ndarray:
    """Decode an 8-bit RGB image from the bytes of a file that is no TIFF.

    Args:
        data: All of its bytes.
        path: Its name, for messages.
        alpha: See :func:`read_image`.
        grey: See :func:`read_image`.

    Returns:
        uint8, shape (H, W, 3), RGB.

    Raises:
        ImageError: As :func:`read_image`.
    """
    header = decode_header(data, path)
    check_colours(header, path, alpha, grey)
    if header.format not in ('JPEG', 'PNG'):
        return np.array(_pillow(data, header, path).convert('RGB'))
    return _opencv(data, _READ_RGB, header, path)


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
    if image_format(data) == 'TIFF':
        bands, header = read_tiff(path)
        check_mask_layout(header, path)
        return _as_ids(bands[0], path)
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
        whole: Refuse a TIFF that is too large to be decoded whole; windows of it are
            read all the same.

    Returns:
        Its header.

    Raises:
        ImageError: If the file is missing, empty, truncated or no image.
    """
    data = _read_bytes(path)
    if image_format(data) == 'TIFF':
        return read_tiff_header(path, MAX_PIXELS if whole else None)
    return decode_header(data, path)


def decode_header(data: bytes, path: str) -> ImageHeader:
    """Read what the bytes of a file that is no TIFF declare, and whether all are there.

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


def check_colours(
    header: ImageHeader, path: str, alpha: AlphaPolicy, grey: GreyPolicy
) -> None:
    """Refuse an image that is not 8-bit RGB, unless an option accepts it.

    Args:
        header: What the file declares.
        path: The file.
        alpha: See :func:`read_image`.
        grey: See :func:`read_image`.

    Raises:
        ImageError: If it is refused.
    """
    found, expected = f'{header.format} with ', ', expected 8-bit RGB'
    if header.palette:
        raise ImageError(
            path,
            f'{found}a palette{expected}; no option accepts it, convert the file',
        )
    if header.bits != 8:
        raise ImageError(
            path,
            f'{found}{header.bits}-bit samples{expected}; no option accepts it, '
            'rescale the file to 8 bits',
        )
    colours = header.channels - header.alpha
    if colours not in (1, 3):
        kind = 'CMYK or ' if header.channels == 4 else ''
        raise ImageError(
            path,
            f'{found}{kind}{header.channels} channels{expected}; no option accepts '
            'it, convert the file',
        )
    layout = 'RGBA' if header.channels == 4 else _LAYOUTS[header.channels]
    if header.alpha and alpha == 'error':
        raise ImageError(
            path,
            f"{found}an alpha channel ({layout}){expected}; alpha='drop' of "
            's5_mm.LoadImage accepts it',
        )
    if colours == 1 and grey == 'error':
        raise ImageError(
            path,
            f"{found}one channel ({layout}){expected}; grey='repeat' of "
            's5_mm.LoadImage accepts it',
        )


def check_mask_layout(header: ImageHeader, path: str) -> None:
    """Refuse a file that cannot hold one class id per pixel.

    Args:
        header: What the file declares.
        path: The file.

    Raises:
        ImageError: If it is a JPEG or has more than one channel.
    """
    expected = 'expected one channel of class ids'
    if header.format == 'JPEG':
        raise ImageError(
            path, f'JPEG mask, {expected}; JPEG changes values, use PNG or TIFF'
        )
    if header.channels != 1:
        layout = 'RGBA' if header.alpha and header.channels == 4 else None
        layout = layout or _LAYOUTS.get(header.channels, f'{header.channels} channels')
        raise ImageError(
            path, f'{layout} mask, {expected}; convert its colours to ids first'
        )


def _read_bytes(path: str) -> bytes:
    """Read a file, of a TIFF only what tells that it is one."""
    try:
        # Unbuffered: two copies of the file less.
        with open(path, 'rb', buffering=0) as file:
            data = file.read(16)
            if image_format(data) != 'TIFF':  # rasterio reads those itself
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
