"""Samples of more than 8 bits as 8 bits: what they span, and two ways to scale them."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from .header import ImageError, ImageHeader

SampleRange = tuple[int, int]
"""Samples that become 0 and 255; those between are scaled, others cut off."""

HIGH_BYTE: SampleRange = (0, 2**16)
"""The upper of two bytes, ``v >> 8``."""

# The high byte of samples that span less leaves 16 levels of 256, or fewer than half.
_USELESS, _ENOUGH = 2**12, 2**15
_ROWS = 256
_WARNED: set[str] = set()


def check_range(sample_range: Sequence[int] | None, owner: str) -> SampleRange | None:
    """Check the ends of a range.

    Args:
        sample_range: LOW and HIGH, or None.
        owner: What it was given to, for the message.

    Returns:
        It as a tuple, or None.

    Raises:
        ValueError: If it is not two integers with 0 <= LOW < HIGH <= 65535.
    """
    if sample_range is None:
        return None
    pair = tuple(sample_range)
    whole = len(pair) == 2 and all(isinstance(value, int) for value in pair)
    if not whole or not 0 <= pair[0] < pair[1] < 2**16:
        raise ValueError(
            f'{owner}: sample_range={sample_range}, expected two integers with '
            '0 <= LOW < HIGH <= 65535, such as (0, 2047) for 11 bits'
        )
    return pair[0], pair[1]


def advised_range(header: ImageHeader) -> str:
    """Return the range of an image, ``(0, 4095)``, as far as its header tells."""
    return f'(0, {2**header.bits - 1})' if header.bits < 16 else '(LOW, HIGH)'


def to_8_bits(
    bands: np.ndarray,
    header: ImageHeader,
    path: str,
    sample_range: SampleRange | None = None,
) -> np.ndarray:
    """Bring samples to 8 bits, 0 as black.

    Args:
        bands: The samples as they are stored, any shape.
        header: Of the image.
        path: Its name, for the message.
        sample_range: How 16-bit samples are scaled; :data:`HIGH_BYTE` takes their upper
            byte.  Those of 8 bits stay as they are.

    Returns:
        uint8, the shape of ``bands``.

    Raises:
        ImageError: If they are neither uint8 nor, with ``sample_range``, uint16.
    """
    scaled = sample_range if bands.dtype == np.uint16 else None
    if bands.dtype != np.uint8 and scaled is None:
        raise ImageError(path, f'{bands.dtype} samples, expected uint8')
    if header.inverted:
        bands = (2**header.bits - 1) - bands
    if scaled is None:
        return bands
    if scaled == HIGH_BYTE:
        return (bands >> 8).astype(np.uint8)
    low, high = scaled
    scale = (np.arange(2**16) - low) * (255 / (high - low))
    return scale.clip(0, 255).round().astype(np.uint8)[bands]


def check_high_byte(source: Any, bands: Sequence[int], path: str) -> None:
    """Refuse, or warn of, an image whose samples leave little in the high byte.

    Rows are read until the samples span half of the 16 bits, which in most images the
    first do.  A warning names one image of a folder, once per process.

    Args:
        source: Open raster of uint16 samples.
        bands: Those of its bands that are read, from 1.
        path: Its name.

    Raises:
        ImageError: If the samples span no more than 12 bits.
    """
    low, high = _used_range(source, bands)
    if high - low >= _ENOUGH or high <= low:  # empty and plain images lose nothing
        return
    ends = (0, 2 ** high.bit_length() - 1) if low <= high // 2 else (low, high)
    text = (
        f'its 16-bit samples are {low} to {high}, of which the high byte leaves '
        f'{low >> 8} to {high >> 8}; scale them to 8 bits: --sample-range '
        f'{ends[0]} {ends[1]} of tools/segment_raster.py, sample_range={ends} of '
        f's5_mm.LoadImage, or gdal_translate -ot Byte -scale {ends[0]} {ends[1]} 0 255'
    )
    if high - low < _USELESS:
        raise ImageError(path, text)
    _warn_once(os.path.dirname(path), f'{path}: {text}')


def _warn_once(folder: str, text: str) -> None:
    """Warn of the first image of a folder, as a pool of images is opened often."""
    if folder not in _WARNED:
        _WARNED.add(folder)
        print_log(
            f'{text}. Further images of the folder are not named.',
            'current',
            logging.WARNING,
        )


def _used_range(source: Any, bands: Sequence[int]) -> tuple[int, int]:
    """Find the smallest and the largest sample that is data, or two far apart."""
    low, high = 2**16, -1
    rows = max(_ROWS, source.block_shapes[0][0])
    for start in range(0, source.height, rows):
        window = ((start, min(start + rows, source.height)), (0, source.width))
        samples = source.read(list(bands), window=window, masked=True).compressed()
        if samples.size:
            low, high = min(low, int(samples.min())), max(high, int(samples.max()))
        if high - low >= _ENOUGH:
            break
    return low, high
