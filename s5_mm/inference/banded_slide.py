"""Sliding windows over images of any height, in memory that their width decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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

from .window_sums import ScoreTile, WindowSums


class RowSource(Protocol):
    """What gives rows of an image, such as an open ``ImageRows``."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Give rows (stop - start, W, C); ``start`` never decreases."""


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
    mmseg; here it is the sums of the rows that two rows of windows share, see
    :class:`s5_mm.inference.WindowSums`, the scores of one batch, and 8 bytes of label
    for each pixel of the rows that the windows of a batch complete.  These lie in a
    block, about as many down as across, and are valid until ``predict`` returns.

    Args:
        predict: Maps windows (N, C, h, w) and metainfo to logits (N, K, h, w).
        image: (C, H, W), or an array (H, W, C), or what gives rows of such an array.
        test_cfg: The protocol, see :func:`s5_mm.models.segmentors.inference.infer`;
            'slide' without ``flip`` and ``resize``, which need the whole image.
        size: (H, W), of an ``image`` that gives rows.
        prepare: Maps windows as they are in the image to the network's input.
        threshold: Of a single channel, mmseg's ``decode_head.threshold``.

    Yields:
        Labels of the rows that one or more rows of windows complete, int64, (rows, W).

    Raises:
        ValueError: The protocol cannot be run, or ``size`` is missing.
    """
    probable = test_cfg.get('average') == 'probabilities'
    labels = None
    for tile in banded_scores(predict, image, test_cfg, size, prepare):
        part = _labels(tile.mean, probable, threshold)
        labels = part.new_empty(tile.band) if labels is None else labels
        labels[tile.rows, tile.columns] = part
        if (tile.rows.stop, tile.columns.stop) == tile.band:
            yield labels
            labels = None


def banded_scores(
    predict: Predict,
    image: Tensor | np.ndarray | RowSource,
    test_cfg: Mapping[str, Any],
    size: tuple[int, int] | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[ScoreTile]:
    """Average the windows over an image of any height, in tiles.

    Args:
        predict: See :func:`banded_slide`.
        image: See :func:`banded_slide`.
        test_cfg: See :func:`banded_slide`.
        size: See :func:`banded_slide`.
        prepare: See :func:`banded_slide`.

    Yields:
        Mean logits or probabilities, batch by batch, each from the top down.

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
    windows_at_once = test_cfg.get('window_batch', 16)
    down, across = _block(len(rows), len(columns), windows_at_once)
    # New memory for every batch costs 1 ms a window of 512 px, by hand: page faults.
    batch = sums = None
    for row in range(0, len(rows), down):
        tops = rows[row : row + down]
        strip = read(tops[0], tops[-1] + h)
        for column in range(0, len(columns), across):
            lefts = columns[column : column + across]
            parts = [
                strip[:, y - tops[0] : y - tops[0] + h, x : x + w]
                for y in tops
                for x in lefts
            ]
            if batch is None:
                batch = strip.new_empty((len(parts), *parts[0].shape))
            windows = torch.stack(parts, out=batch[: len(parts)])
            with torch.no_grad():
                windows = windows if prepare is None else prepare(windows)
                seen = predict(windows, [dict(meta) for _ in parts])
                seen = to_probabilities(seen) if probable else seen
            if sums is None:
                sums = WindowSums(
                    seen[0], windows.dtype, rows, columns, (height, width), down
                )
            yield from sums.add(row, column, seen.unflatten(0, (len(tops), -1)))
            # Not beside those of the next batch.
            del windows, seen


def _block(rows: int, columns: int, windows: int) -> tuple[int, int]:
    """Choose how many windows down and across go together.

    About as many as across: sums that the next windows add to are then written and
    read for one row of windows in ``down``, and of ``across`` windows one is cut at
    the block's side.
    """
    across = min(columns, math.isqrt(windows - 1) + 1)
    down = max(min(rows, windows // across), 1)
    return down, min(columns, windows // down)


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
        height, width = image.shape[-2:]
        return lambda start, stop: image[:, start:stop], (height, width)
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


def _labels(mean: Tensor, probable: bool, threshold: float) -> Tensor:
    """Turn mean scores (K, rows, W) into labels as mmseg does."""
    if len(mean) > 1:
        return _first_maximum(mean)
    # mmseg takes the sigmoid of logits; ``slide`` turns its mean of one back.
    logits = mean.logit() if probable else mean
    return (logits.sigmoid() > threshold)[0].long()


def _first_maximum(scores: Tensor) -> Tensor:
    """Give the argmax over the channels (K, rows, W), int64.

    On a CPU ``max(dim=0)`` walks from channel to channel pixel by pixel: with 16 of
    them 36 to 64 ns a pixel, the running maximum 13 to 15 (by hand, one thread).
    """
    if scores.device.type != 'cpu' or len(scores) > 256:
        return scores.max(dim=0).indices
    best = scores[0].clone()
    labels = torch.zeros(best.shape, dtype=torch.uint8)
    for label, channel in enumerate(scores[1:], start=1):
        larger = channel > best
        torch.maximum(best, channel, out=best)
        torch.maximum(labels, larger.view(torch.uint8) * label, out=labels)
    # The first NaN counts as the maximum.
    return scores.max(dim=0).indices if best.isnan().any() else labels.long()
