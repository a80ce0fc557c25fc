"""The weak, geometric augmentation in one pass over the pixels that are kept."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from s5_mm.registry import TRANSFORMS
from s5_mm.utils.argument_checks import check_number
from s5_mm.utils.randomness import keyed

from .draws import transform_generator

_SEARCH = 8
_TRIES = 10  # DAFormer's


class CropWindow(NamedTuple):
    """The part of a resized axis that is kept, in pixels of both axes.

    Attributes:
        start: First source pixel that is read.
        stop: Source pixel after the last one that is read.
        skip: Resized pixels to drop before the first one that is kept.
        length: Resized pixels that are kept.
        ratio: Resized pixels per source pixel.
    """

    start: int
    stop: int
    skip: int
    length: int
    ratio: float


Geometry = tuple[CropWindow, CropWindow, bool, bool, int]
"""Windows of rows and columns, horizontal and vertical flip, quarter turns."""


def source_window(size: int, resized: int, offset: int, length: int) -> CropWindow:
    """Find the source pixels behind a piece of a resized axis.

    The kept pixel ``d`` is then the one at ``start + (skip + d + 0.5) / ratio - 0.5``
    of the source (pixel centres at whole numbers), which is where resizing the whole
    axis would sample it, up to a shift of the crop by less than one source pixel:
    the window has to start at a whole one.  The shift is 0 at the border and at
    ratios 1/2, 1 and 2.  A ratio that changes the window by less than half a pixel
    is taken as 1.

    Args:
        size: Source pixels of the axis.
        resized: Pixels of the whole axis after resizing.
        offset: First resized pixel that is kept.
        length: Number of resized pixels that are kept.

    Returns:
        The window.
    """
    # Pixels before `first` would feel the edge of the window: they are dropped.
    margin = -(-resized // size)
    candidates = range(max(0, offset - margin - _SEARCH + 1), offset - margin + 1)
    # Among some possible starts, the one nearest above a whole source pixel.
    first = min(candidates, key=lambda x: (x * size % resized, -x), default=0)
    start = first * size // resized
    skip = offset - first
    stop = min(size, start + (skip + length) * size // resized + 2)
    if abs((stop - start) * (resized - size)) * 2 <= size:
        # OpenCV copies a window that its factor does not change in length.
        start = min(start, size - skip - length)
        return CropWindow(start, start + skip + length, skip, length, 1.0)
    return CropWindow(start, stop, skip, length, resized / size)


@TRANSFORMS.register_module()
@keyed
class RandomGeometry(BaseTransform):
    """Scale, crop, flip and rotate by quarter turns, for any image size.

    The draws are those of the release (release section 1.5): the long side becomes
    an integer uniform in ``int(scale[0] * L) .. int(scale[1] * L)``, the short side
    follows; what is smaller than the crop is padded on the right and the bottom; the
    offset of the crop is uniform.  The quarter turns are the paper's; the release has
    none.

    Only the window behind the crop is resized: 0.2 ms for a 512 crop instead of
    1.6 ms for a whole 1024 image, whatever its size; flips and turns touch the crop
    alone.  Bilinear for the image (without anti-aliasing, as mmseg's ``Resize``),
    nearest pixel centre for masks.

    Reads and changes ``img`` (uint8, shape (H, W, C)) and what ``seg_fields`` names
    (uint8, shape (H, W)); updates ``img_shape``; adds ``valid_rect``, the rectangle
    (x0, y0, x1, y1), half-open, that is not padding.  With ``wanted_class``, a class
    and a number of pixels, as :class:`s5_mm.RareClassSampling` asks for, draws up to
    ten times until the crop of ``gt_seg_map`` has that many pixels of the class, and
    keeps the crop with most of them if none has.

    Args:
        crop_size: Side of the square that comes out, or its (height, width).
        scale: Range of the scale of the long side.
        flip_prob: Probability of a horizontal flip and, independently, of a vertical
            one.
        rotate90: Whether to turn by 0, 90, 180 or 270 degrees, all equally likely.
        img_pad: Value of the padding of the image, before normalisation.
        seg_pad: Value of the padding of masks.
        stream: Number of this transform in its pipeline, if there are several.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        crop_size: int | tuple[int, int] = 512,
        scale: tuple[float, float] = (0.5, 2.0),
        flip_prob: float = 0.5,
        rotate90: bool = True,
        img_pad: int = 0,
        seg_pad: int = 255,
        stream: int = 1,
    ) -> None:
        height, width = (
            (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        )
        check_number('crop_size', min(height, width), 1)
        if rotate90 and height != width:
            raise ValueError(
                f'crop_size={crop_size} with rotate90=True, expected a square: a '
                'quarter turn would swap its sides'
            )
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f'scale={scale}, expected 0 < scale[0] <= scale[1]')
        check_number('flip_prob', flip_prob, 0, 1)
        check_number('stream', stream, 1, 255)
        self.crop_size, self.scale = (height, width), tuple(scale)
        self.flip_prob, self.rotate90 = flip_prob, rotate90
        self.img_pad, self.seg_pad, self.stream = img_pad, seg_pad, stream

    def draw(self, height: int, width: int, generator: np.random.Generator) -> Geometry:
        """Draw the geometry of one sample.

        Args:
            height: Rows of the image.
            width: Columns of the image.
            generator: Where to draw from.

        Returns:
            Windows of the rows and of the columns, horizontal flip, vertical flip,
            and the number of quarter turns, counter-clockwise.
        """
        long = max(height, width)
        low, high = (max(1, int(factor * long)) for factor in self.scale)
        new_long = int(generator.integers(low, high, endpoint=True))
        windows = []
        for size, crop in zip((height, width), self.crop_size, strict=True):
            new = new_long
            if size != long:
                new = max(1, int(size * new_long / long + 0.5))
            offset = int(generator.integers(0, max(new - crop, 0), endpoint=True))
            windows.append(source_window(size, new, offset, min(new, crop)))
        flip_h, flip_v = generator.random(2) < self.flip_prob
        turns = int(generator.integers(0, 4)) if self.rotate90 else 0
        return windows[0], windows[1], bool(flip_h), bool(flip_v), turns

    def transform(self, results: dict) -> dict:
        """Draw and apply the geometry."""
        image = results['img']
        generator = transform_generator(results, self.stream)
        geometry = self.draw(image.shape[0], image.shape[1], generator)
        if 'wanted_class' in results:
            geometry = self._keep_class(results, geometry, generator)
        rows, columns, flip_h, flip_v, turns = geometry

        patch = self._pad(_bilinear(image, rows, columns), self.img_pad)
        results['img'] = _turn(patch, flip_h, flip_v, turns)
        for name in results.get('seg_fields', ()):
            patch = self._pad(_nearest(results[name], rows, columns), self.seg_pad)
            results[name] = _turn(patch, flip_h, flip_v, turns)
        results['img_shape'] = results['img'].shape[:2]
        results['valid_rect'] = _turn_rect(
            (columns.length, rows.length), self.crop_size, flip_h, flip_v, turns
        )
        return results

    def _keep_class(
        self, results: dict, geometry: Geometry, generator: np.random.Generator
    ) -> Geometry:
        """Draw again until the crop shows enough of a class."""
        label, pixels = results['wanted_class']
        mask = results['gt_seg_map'] == label
        most = np.count_nonzero(_nearest(mask, *geometry[:2]))
        for _ in range(_TRIES - 1):
            if most >= pixels:
                break
            other = self.draw(mask.shape[0], mask.shape[1], generator)
            found = np.count_nonzero(_nearest(mask, *other[:2]))
            if found > most:
                geometry, most = other, found
        return geometry

    def _pad(self, patch: np.ndarray, value: int) -> np.ndarray:
        """Pad a patch on the right and the bottom to the size of the crop."""
        if patch.shape[:2] == self.crop_size:
            return patch
        canvas = np.full((*self.crop_size, *patch.shape[2:]), value, patch.dtype)
        canvas[: patch.shape[0], : patch.shape[1]] = patch
        return canvas

    def __repr__(self) -> str:
        return (
            f'RandomGeometry(crop_size={self.crop_size}, scale={self.scale}, '
            f'flip_prob={self.flip_prob}, rotate90={self.rotate90}, '
            f'img_pad={self.img_pad}, seg_pad={self.seg_pad}, stream={self.stream})'
        )


def _bilinear(image: np.ndarray, rows: CropWindow, columns: CropWindow) -> np.ndarray:
    """Resize a window of an image."""
    source = image[rows.start : rows.stop, columns.start : columns.stop]
    if rows.ratio == columns.ratio == 1:
        resized = source
    else:
        # Without a size OpenCV takes the factors as they are, so the scale is that
        # of the whole image and not one rounded to the window.
        resized = cv2.resize(
            source,
            None,
            fx=columns.ratio,
            fy=rows.ratio,
            interpolation=cv2.INTER_LINEAR,
        )
    return resized[
        rows.skip : rows.skip + rows.length,
        columns.skip : columns.skip + columns.length,
    ]


def _nearest(mask: np.ndarray, rows: CropWindow, columns: CropWindow) -> np.ndarray:
    """Take the value at the pixel centre nearest to each resized one."""
    # OpenCV's INTER_NEAREST samples half a pixel off its INTER_LINEAR.
    indices = [
        np.minimum(
            window.start
            + ((window.skip + np.arange(window.length) + 0.5) / window.ratio).astype(
                np.int64
            ),
            window.stop - 1,
        )
        for window in (rows, columns)
    ]
    return mask.take(indices[0], axis=0).take(indices[1], axis=1)


def _turn(patch: np.ndarray, flip_h: bool, flip_v: bool, turns: int) -> np.ndarray:
    """Flip, then turn a crop counter-clockwise, in at most two passes."""
    # A half turn is two flips, a quarter turn a transposition before one flip.
    if turns % 2:
        patch = cv2.transpose(patch)
        flip_h, flip_v = flip_v, flip_h
    flip_h ^= turns in (2, 3)
    flip_v ^= turns in (1, 2)
    if flip_h or flip_v:
        patch = cv2.flip(patch, -1 if flip_h and flip_v else int(flip_h))
    return patch


def _turn_rect(
    valid: tuple[int, int],
    crop_size: tuple[int, int],
    flip_h: bool,
    flip_v: bool,
    turns: int,
) -> tuple[int, int, int, int]:
    """Follow the valid (width, height) through flips and turns."""
    (width, height), (rows, columns) = valid, crop_size
    x0, x1 = (columns - width, columns) if flip_h else (0, width)
    y0, y1 = (rows - height, rows) if flip_v else (0, height)
    for _ in range(turns):  # counter-clockwise: x -> y, columns - y' -> x
        x0, y0, x1, y1 = y0, columns - x1, y1, columns - x0
    return x0, y0, x1, y1
