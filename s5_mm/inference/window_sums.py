"""Means of overlapping windows, made while their sums are in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

# Bytes of the sums of a tile, an eighth of a last-level cache of 32 MB, and the most
# rows.  Tiles are as wide as a batch: torch adds a slice row by row, and rows that are
# cut in two cost more than narrow tiles gain.
_TILE_BYTES, _TILE_ROWS = 2**22, 64


class ScoreTile(NamedTuple):
    """Part of the mean scores of the rows that a row of windows completes.

    Attributes:
        mean: (K, h, w), valid until the next tile.
        rows: Where it lies, from the first of these rows on.
        columns: Where it lies in the image.
        band: (rows, W), all that the row of windows completes; its last tile is the
            one at the bottom right.
    """

    mean: Tensor
    rows: slice
    columns: slice
    band: tuple[int, int]


class WindowSums:
    """Adds the scores of windows in mmseg's order, tile by tile.

    A tile is filled from all windows of a batch that touch it, and divided or put by,
    while it is in the cache: no sums of the height of a window are written and read
    back.  The additions and their order are those on a canvas of the whole image.

    Kept are 4 x K x overlap x W bytes of sums that the next row of windows adds to,
    ``overlap`` being the rows that two successive rows of windows share, at most (the
    last ones share more, for they are shifted back); a tile of 4 MB, or of one row
    where that is more; and between two batches of one row of windows the columns of
    the windows that both touch.

    Args:
        like: Scores of one window, (K, h, w).
        dtype: Type of the sums, that of the images as in mmseg.
        tops: First row of each row of windows, ascending.
        lefts: First column of each window of such a row, ascending.
        size: (H, W) of the image.
    """

    def __init__(
        self,
        like: Tensor,
        dtype: torch.dtype,
        tops: Sequence[int],
        lefts: Sequence[int],
        size: tuple[int, int],
    ) -> None:
        channels, self.height, width = like.shape
        self.tops, self.lefts, self.size = tops, lefts, size
        overlap = max((a + self.height - b for a, b in pairwise(tops)), default=0)
        self.kept = like.new_empty((channels, overlap, size[1]), dtype=dtype)
        # More than a tile's worth where a single row is larger.
        most = max(channels * size[1], _TILE_BYTES // self.kept.element_size())
        self._tile = self.kept.new_empty(most)
        over_row = _coverage(tops, self.height, size[0])
        over_column = _coverage(lefts, width, size[1])
        self._over_row, self._over_column = (
            counts.to(self.kept) for counts in (over_row, over_column)
        )
        # (first column, scores) of what later columns of the row of windows need.
        self._open: list[tuple[int, Tensor]] = []

    def add(self, row: int, first: int, scores: Tensor) -> Iterator[ScoreTile]:
        """Add the next windows of a row of windows.

        Args:
            row: Which one, from 0 on.
            first: Which of its windows is the first of these.
            scores: Of the windows, (N, K, h, w), of any floating type; sums are in
                the type that was given.

        Yields:
            What no later window touches, from the top down, as wide as the batch.
        """
        top, after = self.tops[row], [*self.tops, self.size[0]][row + 1]
        above = self.tops[row - 1] + self.height if row else 0
        ends = [*self.lefts, self.size[1]]
        left, right = ends[first], ends[first + len(scores)]
        self._open += zip(self.lefts[first:], scores, strict=False)
        columns = slice(left, right)
        for y, y_end in self._blocks(top, after, right - left):
            tile = self._sum(y - top, y_end - top, columns, above - top)
            if y >= after:
                # Rows move up, by no more than has been read above them.
                self.kept[:, y - after : y_end - after, columns] = tile
                continue
            tile /= self._over_row[y:y_end, None] * self._over_column[columns]
            rows = slice(y - top, y_end - top)
            yield ScoreTile(tile, rows, columns, (after - top, self.size[1]))
        # Copies, or one window keeps the memory of a batch.
        self._open = [
            (max(x, right), part[..., max(right - x, 0) :].clone())
            for x, part in self._open
            if x + part.shape[-1] > right
        ]

    def _blocks(self, top: int, after: int, width: int) -> Iterator[tuple[int, int]]:
        """Cut the rows of windows: those that they complete, and the others."""
        if width == 0:
            return
        row = len(self.kept) * width * self.kept.element_size()
        size = min(max(_TILE_BYTES // row, 1), _TILE_ROWS)
        for start, stop in ((top, after), (after, top + self.height)):
            for first in range(start, stop, size):
                yield first, min(first + size, stop)

    def _sum(self, y: int, y_end: int, columns: slice, begun: int) -> Tensor:
        """Sum rows from the windows' top on, of which ``begun`` were seen before."""
        shape = (len(self.kept), y_end - y, columns.stop - columns.start)
        tile = self._tile[: shape[0] * shape[1] * shape[2]].view(shape)
        begun = min(max(begun - y, 0), shape[1])
        tile[:, :begun] = self.kept[:, y : y + begun, columns]
        tile[:, begun:] = 0
        for left, scores in self._open:
            start = max(columns.start, left)
            stop = min(columns.stop, left + scores.shape[-1])
            part = scores[:, y:y_end, start - left : stop - left]
            # ``+=`` would also assign the slice to itself, 5 us each.
            tile[..., start - columns.start : stop - columns.start].add_(part)
        return tile


def _coverage(starts: Sequence[int], crop: int, length: int) -> Tensor:
    """Count the windows over each pixel of a side, (length,)."""
    counts = torch.zeros(length)
    for start in starts:
        counts[start : start + crop] += 1
    return counts
