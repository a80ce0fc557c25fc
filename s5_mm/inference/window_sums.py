"""Means of overlapping windows, made while their sums are in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# Bytes of the sums of a tile, an eighth of a last-level cache of 32 MB, and the most
# rows.  Tiles are as wide as a block: torch adds a slice row by row, and rows that are
# cut in two cost more than narrow tiles gain.
_TILE_BYTES, _TILE_ROWS = 2**22, 64


class ScoreTile(NamedTuple):
    """Part of the mean scores of the rows that some rows of windows complete.

    Attributes:
        mean: (K, h, w), valid until the next tile.
        rows: Where it lies, from the first of these rows on.
        columns: Where it lies in the image.
        band: (rows, W), all that these rows of windows complete; their last tile is
            the one at the bottom right.
    """

    mean: Tensor
    rows: slice
    columns: slice
    band: tuple[int, int]


class WindowSums:
    """Adds the scores of windows in mmseg's order, tile by tile.

    Windows come in blocks, some down and some across.  A tile is filled from all
    windows of a block that touch it, and divided or put by, while it is in the cache:
    no sums of the height of a window are written and read back.  The additions to each
    pixel and their order are those on a canvas of the whole image.

    Kept are 4 x K x overlap x W bytes of sums that the next rows of windows add to,
    ``overlap`` being the rows that two successive blocks share, at most (the last ones
    share more, for they are shifted back); a tile of 4 MB, or of one row where that is
    more; and between two blocks that lie side by side the columns of the windows that
    both touch.

    Args:
        like: Scores of one window, (K, h, w).
        dtype: Type of the sums, that of the images as in mmseg.
        tops: First row of each row of windows, ascending.
        lefts: First column of each window of such a row, ascending.
        size: (H, W) of the image.
        down: So many rows of windows a block has, but for the last ones.
    """

    def __init__(
        self,
        like: Tensor,
        dtype: torch.dtype,
        tops: Sequence[int],
        lefts: Sequence[int],
        size: tuple[int, int],
        down: int,
    ) -> None:
        channels, self.height, width = like.shape
        self.tops, self.lefts, self.size = tops, lefts, size
        shared = (
            tops[row - 1] + self.height - tops[row]
            for row in range(down, len(tops), down)
        )
        overlap = max(shared, default=0)
        self.kept = like.new_empty((channels, overlap, size[1]), dtype=dtype)
        # More than a tile's worth where a single row is larger.
        most = max(channels * size[1], _TILE_BYTES // self.kept.element_size())
        self._tile = self.kept.new_empty(most)
        over_row = _coverage(tops, self.height, size[0])
        over_column = _coverage(lefts, width, size[1])
        self._over_row, self._over_column = (
            counts.to(self.kept) for counts in (over_row, over_column)
        )
        # Of each row of windows, (first column, scores) of what later columns need.
        self._open: list[list[tuple[int, Tensor]]] = []

    def add(self, row: int, column: int, scores: Tensor) -> Iterator[ScoreTile]:
        """Add the next block: from the left, and then from the top down.

        Args:
            row: The first of its rows of windows, from 0 on.
            column: The first of its windows in each of them.
            scores: Of the windows, (down, across, K, h, w), of any floating type; sums
                are in the type that was given.

        Yields:
            What no later window touches, from the top down, as wide as the block.
        """
        down, across = scores.shape[:2]
        tops = self.tops[row : row + down]
        after = [*self.tops, self.size[0]][row + down]
        above = self.tops[row - 1] + self.height if row else 0
        ends = [*self.lefts, self.size[1]]
        left, right = ends[column], ends[column + across]
        self._open = self._open or [[] for _ in tops]
        for parts, of_row in zip(self._open, scores, strict=True):
            parts += zip(self.lefts[column:], of_row, strict=False)
        columns = slice(left, right)
        for y, y_end in self._blocks(tops, after, right - left):
            tile = self._sum(tops, y, y_end, columns, above)
            if y >= after:
                # Rows move up, by no more than has been read above them.
                self.kept[:, y - after : y_end - after, columns] = tile
                continue
            tile /= self._over_row[y:y_end, None] * self._over_column[columns]
            rows = slice(y - tops[0], y_end - tops[0])
            yield ScoreTile(tile, rows, columns, (after - tops[0], self.size[1]))
        if right == self.size[1]:
            self._open = []
            return
        # Copies, or one window keeps the memory of a batch.
        self._open = [
            [
                (max(x, right), part[..., max(right - x, 0) :].clone())
                for x, part in parts
                if x + part.shape[-1] > right
            ]
            for parts in self._open
        ]

    def _blocks(
        self, tops: Sequence[int], after: int, width: int
    ) -> Iterator[tuple[int, int]]:
        """Cut the rows of windows: those that they complete, and the others."""
        if width == 0:
            return
        row = len(self.kept) * width * self.kept.element_size()
        size = min(max(_TILE_BYTES // row, 1), _TILE_ROWS)
        for start, stop in ((tops[0], after), (after, tops[-1] + self.height)):
            for first in range(start, stop, size):
                yield first, min(first + size, stop)

    def _sum(
        self, tops: Sequence[int], y: int, y_end: int, columns: slice, above: int
    ) -> Tensor:
        """Sum rows of the windows; those before ``above`` have been begun."""
        shape = (len(self.kept), y_end - y, columns.stop - columns.start)
        tile = self._tile[: shape[0] * shape[1] * shape[2]].view(shape)
        begun = min(max(above - y, 0), shape[1])
        first = y - tops[0]
        tile[:, :begun] = self.kept[:, first : first + begun, columns]
        tile[:, begun:] = 0
        for top, parts in zip(tops, self._open, strict=True):
            upper, lower = max(y, top), min(y_end, top + self.height)
            if upper >= lower:
                continue
            for left, scores in parts:
                start = max(columns.start, left)
                stop = min(columns.stop, left + scores.shape[-1])
                target = tile[
                    :,
                    upper - y : lower - y,
                    start - columns.start : stop - columns.start,
                ]
                # ``+=`` would also assign the slice to itself, 5 us each.
                target.add_(
                    scores[:, upper - top : lower - top, start - left : stop - left]
                )
        return tile


def _coverage(starts: Sequence[int], crop: int, length: int) -> Tensor:
    """Count the windows over each pixel of a side, (length,)."""
    counts = torch.zeros(length)
    for start in starts:
        counts[start : start + crop] += 1
    return counts
