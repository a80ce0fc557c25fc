"""Relative positions of two-dimensional tokens, as biases of attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]


def fit_offsets(table: Tensor, cells: int) -> Tensor:
    """Bring a table of one axis' offsets to another number of cells (ViTDet's rule).

    Args:
        table: (2 n - 1, d), entries of the offsets -(n - 1) to n - 1.
        cells: Wanted n.

    Returns:
        (2 cells - 1, d); the very same tensor where it fits.
    """
    length = 2 * cells - 1
    if len(table) == length:
        return table
    return F.interpolate(table.t()[None], size=length, mode='linear')[0].t()


def decomposed_bias(query: Tensor, rows: Tensor, columns: Tensor, grid: Grid) -> Tensor:
    """Bias of attention from the query and the offset to the key, axis by axis.

    Args:
        query: (..., L, d), L tokens of a grid, row-major.
        rows: (2 n - 1, d) for any n; entry ``query's row - key's row``, shifted.
        columns: The same for columns.
        grid: Rows and columns, whose product is L.

    Returns:
        (..., L, L).
    """
    height, width = grid
    by_row = _entries(fit_offsets(rows, height), height)
    by_column = _entries(fit_offsets(columns, width), width)
    tokens = query.unflatten(-2, grid)
    row_bias = torch.einsum('...hwd,hkd->...hwk', tokens, by_row)
    column_bias = torch.einsum('...hwd,wkd->...hwk', tokens, by_column)
    bias = row_bias[..., :, None] + column_bias[..., None, :]
    return bias.flatten(-4, -3).flatten(-2, -1)


def _entries(table: Tensor, cells: int) -> Tensor:
    """Look the entry of each pair of cells up, (cells of the query, of the key, d)."""
    place = torch.arange(cells, device=table.device)
    return table[place[:, None] - place[None, :] + cells - 1]


def window_bias(table: Tensor, side: int) -> Tensor:
    """Look Swin's biases of a square window up.

    Args:
        table: ((2 side - 1)^2, heads).
        side: Side of the window in tokens.

    Returns:
        (heads, side^2, side^2).
    """
    place = torch.arange(side, device=table.device)
    offset = place[:, None] - place[None, :] + side - 1
    span = 2 * side - 1
    # Query's row and column, key's row and column.
    index = offset[:, None, :, None] * span + offset[None, :, None, :]
    return table[index.reshape(side**2, side**2)].permute(2, 0, 1)
