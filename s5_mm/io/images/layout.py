"""Which images are taken as 8-bit RGB, and which as maps of class ids."""

from __future__ import annotations

from typing import Literal

from .header import ImageError, ImageHeader
from .sample_depth import SampleRange, advised_range

AlphaPolicy = Literal['error', 'drop']
GreyPolicy = Literal['error', 'repeat']

_LAYOUTS = {1: 'greyscale', 2: 'greyscale with alpha', 3: 'RGB', 4: '4 channels'}


def check_colours(
    header: ImageHeader,
    path: str,
    alpha: AlphaPolicy,
    grey: GreyPolicy,
    sample_range: SampleRange | None = None,
) -> None:
    """Refuse an image that is not 8-bit RGB, unless an option accepts it.

    Args:
        header: What the file declares.
        path: The file.
        alpha: See :func:`.read.read_image`.
        grey: See :func:`.read.read_image`.
        sample_range: See :func:`.read.read_image`.

    Raises:
        ImageError: If it is refused.
    """
    found, expected = f'{header.format} with ', ', expected 8-bit RGB'
    if header.palette:
        raise ImageError(
            path,
            f'{found}a palette{expected}; no option accepts it, convert the file',
        )
    if header.space != 'RGB':
        raise ImageError(
            path,
            f'{found}{header.space} colours{expected}; no option accepts it, convert '
            'the file',
        )
    if header.bits != 8 and not (header.deep and sample_range):
        way = (
            f'sample_range={advised_range(header)} of s5_mm.LoadImage, such as '
            '(0, 2047) for 11 bits, scales it to 8 bits'
            if header.deep
            else 'no option accepts it, rescale the file to 8 bits'
        )
        raise ImageError(path, f'{found}{header.bits}-bit samples{expected}; {way}')
    colours = header.channels - header.alpha
    if colours not in (1, 3):
        kind = 'CMYK or ' if header.channels == 4 else ''
        raise ImageError(
            path,
            f'{found}{kind}{header.channels} channels{expected}; no option accepts '
            'it, convert the file, such as gdal_translate -b 1 -b 2 -b 3',
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
