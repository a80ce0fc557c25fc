"""What is wrong with the pixels of a crop, in figures that a gate judges later.

A tile without content is confident background to a segmentor: its entropy (Eq. 1) is
close to zero and it would be selected first.  The figures are measured once, where the
pixels are decoded; the thresholds are those of :mod:`.quality_gate` and
can be changed without decoding again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .spectrum import detail_share

# Compression leaves black and white a little off, by at most this many levels.
_JPEG_NOISE = 6
_BLOCK = 16
# Below this standard deviation a block shows nothing but the noise of the sensor.
_FLAT_STD = 2.0
# A line is an outlier if it differs from the mean of its neighbours by more than this
# many times what those differ by, plus this many levels.  Of independent lines the
# ratio is sqrt(3) / 2.
_OUTLIER_RATIO, _OUTLIER_LEVELS = 3.0, 4.0
_CLOUD_LEVEL, _CLOUD_RANGE = 215, 12
_NEAR, _CORE, _PATCH = (np.ones((side, side), np.uint8) for side in (3, 15, 17))


class Quality(NamedTuple):
    """Figures of one crop; the names are columns of the manifest.

    All of them stay the same when the crop is rotated by 90 degrees or mirrored, if its
    sides are multiples of 16.

    Attributes:
        padding: Share of the crop that the source does not fill, in [0, 1].
        no_data: Share of the pixels in black patches without any texture that touch
            the border, in [0, 1].
        constant: The same of patches of another colour, which is no-data too, but also
            a roof that saturates the sensor, or water that a provider has painted.
        border: Share of the pixels in outer rows and columns of one colour, in [0, 1].
        flat: Share of the 16-px blocks with a standard deviation below 2 of 255 levels,
            in [0, 1].
        contrast: Standard deviation of the green channel, in levels.
        repeated: Share of the lines that equal the line before, in rows or in columns,
            whichever is smaller: 1/2 after doubling without interpolation, in [0, 1].
        detail: Share of the gradient's energy beyond 0.35 cycles per pixel, in [0, 1]
            (:func:`~s5_mm.curation.gate.spectrum.detail_share`): about 0.01 after
            enlarging twice; 1 where there is too little gradient to tell.
        stripes: Share of the lines that equal the line before, fit neither neighbour,
            or are of one colour and differ from one, in rows or in columns, whichever
            is larger, in [0, 1].
        cloud: Share of nearly white pixels without texture, in [0, 1].
        colour: Mean distance of a pixel's largest and smallest channel, in levels; 0 of
            a grey image.
    """

    padding: float
    no_data: float
    constant: float
    border: float
    flat: float
    contrast: float
    repeated: float
    detail: float
    stripes: float
    cloud: float
    colour: float


QUALITY_COLUMNS: tuple[str, ...] = Quality._fields
"""Names of the figures, float32 columns of ``scan/part-*.parquet``."""


def measure_quality(
    crop: np.ndarray, width: int | None = None, height: int | None = None
) -> Quality:
    """Measure a crop, 2.6 ms at 512 px on one core.

    Args:
        crop: uint8, (size, size, 3), RGB.
        width: Columns that the source fills, from the left; all by default.  What pads
            the others is not looked at.
        height: Rows that the source fills, from the top.

    Returns:
        The figures.

    Raises:
        ValueError: If the crop is no such array or the window is not inside it.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8 or not crop.size:
        raise ValueError(
            f'crop: {crop.dtype} {crop.shape} found, expected uint8 (size, size, 3)'
        )
    width = crop.shape[1] if width is None else width
    height = crop.shape[0] if height is None else height
    if not (0 < width <= crop.shape[1] and 0 < height <= crop.shape[0]):
        raise ValueError(
            f'the window is {width}x{height} px, the crop {crop.shape[1]}x'
            f'{crop.shape[0]} px'
        )
    padding = 1 - width * height / (crop.shape[0] * crop.shape[1])
    pixels = np.ascontiguousarray(crop[:height, :width])
    planes = cv2.split(pixels)
    darkest = cv2.min(cv2.min(planes[0], planes[1]), planes[2])
    brightest = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
    ranges = cv2.split(cv2.absdiff(cv2.dilate(pixels, _NEAR), cv2.erode(pixels, _NEAR)))
    spread = cv2.max(cv2.max(ranges[0], ranges[1]), ranges[2])
    uniform = [_uniform_lines(planes, axis) for axis in (0, 1)]
    lines = [
        _bad_lines(plane, uniform[axis])
        for axis, plane in enumerate((planes[1], cv2.transpose(planes[1])))
    ]
    no_data, constant = _dead_shares(brightest, spread)
    bright = _between(darkest, _CLOUD_LEVEL, 255)
    calm = _between(spread, 0, _CLOUD_RANGE)
    return Quality(
        padding=padding,
        no_data=no_data,
        constant=constant,
        border=_border_share(*uniform),
        flat=_flat_share(planes[1]),
        contrast=float(cv2.meanStdDev(planes[1])[1][0, 0]),
        repeated=min(repeated for repeated, _ in lines),
        detail=detail_share(planes[1]),
        stripes=max(bad for _, bad in lines),
        cloud=cv2.countNonZero(cv2.bitwise_and(bright, calm)) / spread.size,
        colour=_mean(brightest) - _mean(darkest),
    )


def _between(plane: np.ndarray, low: int, high: int) -> np.ndarray:
    """Mark the pixels from ``low`` to ``high`` with 255, the others with 0."""
    # OpenCV's stubs know bounds that are images only.
    return cv2.inRange(plane, low, high)  # type: ignore[call-overload]


def _mean(plane: np.ndarray) -> float:
    """Return the mean of a channel."""
    # OpenCV's stubs take its four numbers for one.
    return cv2.mean(plane)[0]  # type: ignore[index]


def _dead_shares(brightest: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
    """Shares of the pixels in patches of one colour that touch the border.

    Compression leaves no-data exactly constant but along its outline.  It does the
    same to blocks of 8 px of calm water and dark fields, which is why a patch must hold
    a square of 17 px.

    Args:
        brightest: uint8, (h, w), largest channel.
        spread: uint8, (h, w), largest range of a channel in the 3x3 pixels around.

    Returns:
        Share of black patches, and of those of other colours.
    """
    dead = cv2.erode(_between(spread, 0, 0), _CORE)
    # A frame of dead pixels joins all patches that touch the border.
    framed = cv2.copyMakeBorder(dead, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(framed, None, (0, 0), 1)
    joined = _between(framed[1:-1, 1:-1], 1, 1)
    if not joined.any():
        return 0.0, 0.0
    grown = cv2.dilate(joined, _PATCH)
    black = cv2.bitwise_and(grown, _between(brightest, 0, _JPEG_NOISE))
    share = cv2.countNonZero(black) / dead.size
    return share, cv2.countNonZero(grown) / dead.size - share


def _uniform_lines(planes: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Tell which rows (axis 0) or columns (axis 1) are of one colour, bool."""
    # Several times faster than cv2.reduce.
    ranges = [plane.max(1 - axis) - plane.min(1 - axis) for plane in planes]
    return np.maximum.reduce(ranges) <= _JPEG_NOISE


def _border_share(rows: np.ndarray, columns: np.ndarray) -> float:
    """Share of the pixels in the outer lines that are of one colour."""
    inner = 1.0
    for lines in (rows, columns):
        varied = np.flatnonzero(~lines)
        inner *= (int(np.ptp(varied)) + 1) / len(lines) if len(varied) else 0.0
    return 1 - inner


def _flat_share(plane: np.ndarray) -> float:
    """Share of the blocks that show next to nothing; a remainder is left out."""
    height, width = (max(side // _BLOCK, 1) for side in plane.shape)
    sides = tuple(min(side, _BLOCK) for side in plane.shape)
    # Around the middle of the range float32 keeps the variance to 0.01.
    centred = plane[: height * sides[0], : width * sides[1]].astype(np.float32) - 128
    mean = cv2.resize(centred, (width, height), interpolation=cv2.INTER_AREA)
    square = cv2.resize(
        cv2.multiply(centred, centred), (width, height), interpolation=cv2.INTER_AREA
    )
    return float((square - mean * mean < _FLAT_STD**2).mean())


def _bad_lines(plane: np.ndarray, uniform: np.ndarray) -> tuple[float, float]:
    """Compare rows with their neighbours.

    Args:
        plane: uint8, (h, w), a channel.
        uniform: bool, (h,), the rows that are of one colour.

    Returns:
        Share of the rows of more than one colour that equal the row before, and share
        of all that are bad in any way.
    """
    equal, outlier = np.zeros((2, len(uniform)), bool)
    if len(uniform) < 3:
        return 0.0, 0.0
    before, after = plane[:-2], plane[2:]
    equal[1:] = (plane[1:] == plane[:-1]).all(axis=1) & ~uniform[1:]
    middle = cv2.addWeighted(before, 0.5, after, 0.5, 0)
    residue, scale, step = (
        cv2.absdiff(a, b).sum(axis=1, dtype=np.uint32) / plane.shape[1]
        for a, b in ((plane[1:-1], middle), (before, after), (plane[1:], plane[:-1]))
    )
    outlier[1:-1] = residue > _OUTLIER_RATIO * scale + _OUTLIER_LEVELS
    # Calm water has lines of one colour too, but no step to the next one.
    differs = step > _OUTLIER_LEVELS
    outlier[1:] |= uniform[1:] & differs
    outlier[:-1] |= uniform[:-1] & differs
    return float(equal.mean()), float((equal | outlier).mean())
