"""Sliding windows over images of any height, in memory that their width decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from s5_mm.models.segmentors.inference import (
    Predict,
    check_test_cfg,
    to_probabilities,
    window_starts,
)

# Rows that are turned into labels at once: what an argmax makes of them stays small.
_LABEL_ROWS = 64


class RowSource(Protocol):
    """What gives rows of an image, such as an open ``ImageRows``."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Give rows (stop - start, W, C); ``start`` never decreases."""


class ScoreBand:
    """Sum of the scores of windows over the rows that windows still touch.

    Row y of the image is row y modulo ``depth`` of the band, so nothing is moved when
    the band goes down, and a sum is made by the same additions in the same order as on
    a canvas of the whole image.

    Args:
        like: Scores of one window, (K, h, w), whose channels the band takes.
        dtype: Type of the sums, that of the images as in mmseg.
        depth: Rows that are kept, at least those of a window.
        width: Columns of the image.
    """

    def __init__(
        self, like: Tensor, dtype: torch.dtype, depth: int, width: int
    ) -> None:
        self.sums = like.new_zeros((len(like), depth, width), dtype=dtype)

    def add(self, top: int, left: int, scores: Tensor) -> None:
        """Add a window.

        Args:
            top: Its first row in the image.
            left: Its first column.
            scores: (K, h, w).
        """
        height, width = scores.shape[-2:]
        for kept, part in self._pieces(top, top + height):
            self.sums[:, kept, left : left + width] += scores[:, part]

    def take(self, start: int, stop: int, counts: Tensor) -> Iterator[Tensor]:
        """Give the means of rows that are complete, and free them.

        Args:
            start: First row in the image.
            stop: Row after the last one.
            counts: Windows over each pixel, (stop - start, W).

        Yields:
            Parts of the rows from the top down, (K, rows, W); valid until the next.
        """
        for kept, part in self._pieces(start, stop):
            rows = self.sums[:, kept].div_(counts[part])
            yield rows
            rows.zero_()

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """Where rows of the image are in the band, and where in what is given."""
        depth = self.sums.shape[1]
        first, count = start % depth, stop - start
        before_end = min(depth - first, count)
        yield slice(first, first + before_end), slice(0, before_end)
        if before_end < count:
            yield slice(0, count - before_end), slice(before_end, count)


def banded_slide(
    predict: Predict,
    image: Tensor | np.ndarray | RowSource,
    test_cfg: Mapping[str, Any],
    size: tuple[int, int] | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
    threshold: float = 0.3,
) -> Iterator[Tensor]:
    """Segment an image of any height, its rows from the top down.

    The labels are those of :func:`s5_mm.models.segmentors.inference.slide` and of
    mmseg's ``slide``: the same windows, added in the same order, divided by the same
    counts.  Those keep the scores of the whole image, 16 bytes a pixel and class in
    mmseg; here it is a band of the window's height, 4 x K x crop x W bytes.  The
    windows of a batch lie in one row of windows.

    Args:
        predict: Maps windows (N, C, h, w) and metainfo to logits (N, K, h, w).
        image: (C, H, W), or an array (H, W, C), or what gives rows of such an array.
        test_cfg: The protocol, see :func:`s5_mm.models.segmentors.inference.infer`;
            'slide' without ``flip`` and ``resize``, which need the whole image.
        size: (H, W), of an ``image`` that gives rows.
        prepare: Maps windows as they are in the image to the network's input.
        threshold: Of a single channel, mmseg's ``decode_head.threshold``.

    Yields:
        Labels of the next rows, int64, (rows, W), 64 rows at most.

    Raises:
        ValueError: The protocol cannot be run, or ``size`` is missing.
    """
    probable = test_cfg.get('average') == 'probabilities'
    for mean in banded_scores(predict, image, test_cfg, size, prepare):
        yield _labels(mean, probable, threshold)


def banded_scores(
    predict: Predict,
    image: Tensor | np.ndarray | RowSource,
    test_cfg: Mapping[str, Any],
    size: tuple[int, int] | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Tensor]:
    """Average the windows over an image of any height, its rows from the top down.

    Args:
        predict: See :func:`banded_slide`.
        image: See :func:`banded_slide`.
        test_cfg: See :func:`banded_slide`.
        size: See :func:`banded_slide`.
        prepare: See :func:`banded_slide`.

    Yields:
        Mean logits or probabilities of the next rows, (K, rows, W), 64 rows at most;
        a view of the band that is valid until the next.

    Raises:
        ValueError: As :func:`banded_slide`.
    """
    check_protocol(test_cfg, 'banded_slide')
    read, (height, width) = _reader(image, size)
    crop, stride = test_cfg['crop_size'], test_cfg['stride']
    number = test_cfg.get('windows')
    rows = window_starts(height, crop[0], stride[0], number)
    columns = window_starts(width, crop[1], stride[1], number)
    h, w = min(crop[0], height), min(crop[1], width)
    meta = dict(img_shape=torch.Size((h, w)), ori_shape=(h, w), pad_shape=(h, w))
    probable = test_cfg.get('average') == 'probabilities'
    step = test_cfg.get('window_batch', 16)
    # Windows over a pixel: those over its row times those over its column.
    over_row, over_column = _coverage(rows, h, height), _coverage(columns, w, width)
    band = None
    for top, after in zip(rows, [*rows[1:], height], strict=True):
        strip = read(top, top + h)
        for first in range(0, len(columns), step):
            chosen = columns[first : first + step]
            windows = torch.stack([strip[..., x : x + w] for x in chosen])
            with torch.no_grad():
                windows = windows if prepare is None else prepare(windows)
                seen = predict(windows, [dict(meta) for _ in chosen])
                seen = to_probabilities(seen) if probable else seen
            if band is None:
                band = ScoreBand(seen[0], windows.dtype, h, width)
                over_row, over_column = (
                    over_row.to(band.sums),
                    over_column.to(band.sums),
                )
            for x, scores in zip(chosen, seen, strict=True):
                band.add(top, x, scores)
        for start in range(top, after, _LABEL_ROWS):
            stop = min(start + _LABEL_ROWS, after)
            counts = over_row[start:stop, None] * over_column
            yield from band.take(start, stop, counts)


def check_protocol(test_cfg: Mapping[str, Any], owner: str) -> None:
    """Refuse a protocol that needs the whole image at once.

    Args:
        test_cfg: See :func:`banded_slide`.
        owner: What it was given to, for the message.

    Raises:
        ValueError: It is not of windows, has ``flip`` or ``resize``, or cannot be run
            at all.
    """
    check_test_cfg(test_cfg, owner)
    if test_cfg.get('mode', 'whole') != 'slide':
        raise ValueError(
            f"{owner}: test_cfg.mode is 'whole', large images need mode='slide' with "
            'crop_size=(H, W) and stride=(H, W)'
        )
    for key in ('flip', 'resize'):
        if test_cfg.get(key):
            raise ValueError(
                f'{owner}: test_cfg.{key}={test_cfg[key]} needs the whole image at '
                'once, large images allow plain windows only'
            )


def _reader(
    image: Tensor | np.ndarray | RowSource, size: tuple[int, int] | None
) -> tuple[Callable[[int, int], Tensor], tuple[int, int]]:
    """Make rows (C, rows, W) of any image."""
    if isinstance(image, Tensor):
        return lambda start, stop: image[:, start:stop], tuple(image.shape[-2:])
    if isinstance(image, np.ndarray):
        channels_first = torch.from_numpy(image).permute(2, 0, 1)
        return _reader(channels_first, None)
    if size is None:
        raise ValueError(
            'banded_slide: size=(H, W) is missing; an image that gives rows has none'
        )

    def read(start: int, stop: int) -> Tensor:
        return torch.from_numpy(image.read(start, stop)).permute(2, 0, 1)

    return read, size


def _coverage(starts: Sequence[int], crop: int, length: int) -> Tensor:
    """Count the windows over each pixel of a side, (length,)."""
    counts = torch.zeros(length)
    for start in starts:
        counts[start : start + crop] += 1
    return counts


def _labels(mean: Tensor, probable: bool, threshold: float) -> Tensor:
    """Turn mean scores (K, rows, W) into labels as mmseg does."""
    if len(mean) > 1:
        # The first maximum, as argmax, which takes three times as long on a CPU.
        return mean.max(dim=0).indices
    # mmseg takes the sigmoid of logits; ``slide`` turns its mean of one back.
    logits = mean.logit() if probable else mean
    return (logits.sigmoid() > threshold)[0].long()
