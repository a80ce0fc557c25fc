"""What an image file says about itself, read from its bytes without decoding.

The decoders of OpenCV expand palettes, scale 16 bits to 8, drop alpha and repeat
grey without a word, and some versions fill what is missing of a truncated JPEG
with grey.  Whatever they would hide is found here first.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

from PIL import Image, ImageFile

MAX_PIXELS = 2**28
"""Largest image that is decoded whole, in pixels (0.8 GB as RGB)."""

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_TIFF_SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
# GDAL does not read them, or not with more than 8 bits.
_PILLOW_ALONE = ('AVIF', 'SGI')
# Colour type of a PNG -> (channels, palette, alpha); PNG specification, 11.2.2.
_PNG_COLOURS = {
    0: (1, False, False),
    2: (3, False, False),
    3: (1, True, False),
    4: (2, False, True),
    6: (4, False, True),
}


class ImageError(ValueError):
    """A file that cannot be used as an image or as a mask.

    Args:
        path: The file.
        reason: What was found, what was expected and which option, if any, would
            accept it.
    """

    def __init__(self, path: str, reason: str | None = None) -> None:
        # The one-argument form is what torch uses to raise an exception of a
        # worker process again in the main process.
        super().__init__(*((path,) if reason is None else (path, reason)))

    @property
    def path(self) -> str:
        """The file."""
        return self.args[0]

    @property
    def reason(self) -> str:
        """What is wrong with it."""
        return self.args[-1]

    def __str__(self) -> str:
        return ': '.join(str(arg) for arg in self.args)


class ImageHeader(NamedTuple):
    """What the header of an image declares.

    Attributes:
        format: ``'JPEG'``, ``'PNG'``, ``'TIFF'`` or another name of Pillow's.
        width: Columns in pixels.
        height: Rows in pixels.
        channels: Samples of a pixel, alpha included; 1 for a palette.
        bits: Bits of a sample.
        palette: Whether the samples are indices into a palette.
        alpha: Whether the last channel is transparency.
        inverted: Whether 0 is white, as in TIFF files of faxes and scans.
        space: ``'RGB'`` for grey too, or ``'CMYK'`` or ``'CIELAB'``, which GDAL turns
            into RGBA.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int = 8
    palette: bool = False
    alpha: bool = False
    inverted: bool = False
    space: str = 'RGB'

    @property
    def deep(self) -> bool:
        """Whether samples have 9 to 16 bits, which rasterio reads and can be scaled."""
        return 8 < self.bits <= 16 and self.format not in _PILLOW_ALONE


def is_address(name: str) -> bool:
    """Return whether a name is for GDAL to find, not for the file system.

    Args:
        name: ``https://...``, ``zip+file://...``, ``/vsicurl/...`` or a path.
    """
    return '://' in name or name.startswith('/vsi')


def image_format(data: bytes) -> str | None:
    """Tell the format from the first bytes; the suffix of a file may lie.

    Args:
        data: The file, or its first 16 bytes at least.

    Returns:
        ``'JPEG'``, ``'PNG'``, ``'TIFF'`` or None for anything else.
    """
    if data[:3] == b'\xff\xd8\xff':
        return 'JPEG'
    if data[:8] == _PNG_SIGNATURE:
        return 'PNG'
    return 'TIFF' if data[:4] in _TIFF_SIGNATURES else None


def parse_header(
    data: bytes, path: str, max_pixels: int | None = MAX_PIXELS
) -> ImageHeader:
    """Read the header of an image that is not a TIFF.

    Args:
        data: The whole file, or as much of it as holds the header.
        path: Its name, for the message.
        max_pixels: Largest image that is accepted; None if it is not decoded whole.

    Returns:
        What the file declares.

    Raises:
        ImageError: If the header is damaged, unknown or declares an image without
            pixels or with more than ``max_pixels``.
    """
    kind = image_format(data)
    if kind == 'JPEG':
        header = _parse_jpeg(data, path)
    elif kind == 'PNG':
        header = _parse_png(data, path)
    else:
        header = _parse_other(data, path)
    check_size(header, path, max_pixels)
    return header


def check_size(
    header: ImageHeader, path: str, max_pixels: int | None = MAX_PIXELS
) -> None:
    """Refuse an image without pixels or with too many.

    Args:
        header: What the file declares.
        path: Its name, for the message.
        max_pixels: Largest number of pixels; None for any.

    Raises:
        ImageError: If the size is not in 1 .. ``max_pixels`` pixels.
    """
    size = f'{header.width}x{header.height} px'
    if min(header.width, header.height) < 1:
        raise ImageError(path, f'the header declares {size}, expected at least 1x1')
    if max_pixels is not None and header.width * header.height > max_pixels:
        raise ImageError(
            path,
            f'{size} are more than the {max_pixels} pixels that are decoded whole; '
            'cut the image into tiles',
        )


def check_complete(data: bytes, header: ImageHeader, path: str) -> None:
    """Find out whether a JPEG or a PNG is whole, without OpenCV's leniency.

    Damage between intact ends of a JPEG cannot be seen: the format has no checksum.

    Args:
        data: The whole file.
        header: Its header.
        path: Its name, for the message.

    Raises:
        ImageError: If bytes are missing or, in a PNG, changed.
    """
    if header.format == 'PNG':
        _walk_png(data, path)
        return
    # Zeros at the end are padding, or the part of a download that never came.
    data = data.rstrip(b'\0')
    if header.format == 'JPEG' and not data.endswith(b'\xff\xd9'):
        # Either cut off, or something follows the picture: a strict decoder knows.
        try:
            Image.open(io.BytesIO(data)).load()
        except Exception as error:
            raise ImageError(
                path, f'truncated JPEG of {len(data)} bytes ({error})'
            ) from error


def _parse_jpeg(data: bytes, path: str) -> ImageHeader:
    """Find the frame header among the markers of a JPEG."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            position += 2
            continue
        (length,) = struct.unpack_from('>H', data, position + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if position + 10 > len(data):
                break
            bits, height, width, channels = struct.unpack_from(
                '>BHHB', data, position + 4
            )
            return ImageHeader('JPEG', width, height, channels, bits)
        if marker in (0xD9, 0xDA):
            break
        position += 2 + length
    raise ImageError(
        path, f'truncated or damaged JPEG: no frame header in {len(data)} bytes'
    )


def _parse_png(data: bytes, path: str) -> ImageHeader:
    """Read the first chunk of a PNG."""
    if len(data) < 33 or data[12:16] != b'IHDR':
        raise ImageError(path, f'truncated PNG: {len(data)} bytes hold no header')
    width, height, bits, colour = struct.unpack_from('>IIBB', data, 16)
    if colour not in _PNG_COLOURS:
        raise ImageError(
            path, f'PNG of colour type {colour}, expected one of {list(_PNG_COLOURS)}'
        )
    channels, palette, alpha = _PNG_COLOURS[colour]
    return ImageHeader('PNG', width, height, channels, bits, palette, alpha)


def _walk_png(data: bytes, path: str) -> None:
    """Follow the chunks of a PNG to its end, checking each."""
    view, position = memoryview(data), len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from('>I', data, position)
        end = position + 12 + length
        if end > len(data):
            break
        name = data[position + 4 : position + 8]
        (crc,) = struct.unpack_from('>I', data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != crc:
            raise ImageError(
                path, f'damaged PNG: checksum of chunk {name!r} at byte {position}'
            )
        if name == b'IEND':
            return
        position = end
    raise ImageError(path, f'truncated PNG: no end chunk in {len(data)} bytes')


def _parse_other(data: bytes, path: str) -> ImageHeader:
    """Ask Pillow about any other format."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, mode, (width, height) = image.format, image.mode, image.size
            frames = getattr(image, 'n_frames', 1)
            bits = _stored_bits(image, data)
    except Exception as error:
        raise ImageError(
            path,
            f'not an image: it starts with {data[:12]!r}, expected a JPEG, PNG or '
            'TIFF file',
        ) from error
    if frames > 1:
        raise ImageError(path, f'{kind} of {frames} frames, expected one image')
    channels = len(Image.new(mode, (1, 1)).getbands())
    alpha = mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa')
    palette = mode in ('P', 'PA')
    return ImageHeader(kind or mode, width, height, channels, bits, palette, alpha)


def _stored_bits(image: ImageFile.ImageFile, data: bytes) -> int:
    """Find the bits of a sample where Pillow's mode hides that it takes the upper 8."""
    if image.format == 'JPEG2000' and (start := data.find(b'\xff\x4f\xff\x51')) >= 0:
        return (data[start + 42] & 0x7F) + 1  # Ssiz of the first component
    if image.format == 'PPM':
        codec, _, _, args = image.tile[0]
        if codec in ('ppm', 'ppm_plain') and isinstance(args, tuple):
            return max(args[1].bit_length(), 8)  # of the largest value
    if image.format == 'SGI':
        return 8 * data[3]
    if image.format == 'AVIF' and (config := data.find(b'av1C')) >= 0:
        return 10 if data[config + 6] & 0x40 else 8
    mode = image.mode
    return {'1': 1, 'I': 32, 'F': 32}.get(mode, 16 if ';16' in mode else 8)
