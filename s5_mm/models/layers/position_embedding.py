"""Position embeddings on grids of any size."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]


def _bicubic_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """Write bicubic interpolation of one axis as a matrix.

    The columns are torch's own interpolation (align_corners=False) of unit impulses,
    so its kernel and border rule apply by construction.

    Args:
        source: Length of the axis.
        target: Wanted length.
        like: Tensor whose device and dtype are used.

    Returns:
        (target, source), dtype of ``like``; rows sum to 1.
    """
    impulses = torch.eye(source, device=like.device, dtype=like.dtype)
    impulses = impulses[None, :, :, None]
    columns = F.interpolate(
        impulses, size=(target, 1), mode='bicubic', align_corners=False
    )
    return columns[0, :, :, 0].t()


def _full_precision(device_type: str) -> AbstractContextManager[object]:
    """Leave autocast where there is one: the weights must not be rounded to bf16."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


class PositionInterpolator:
    """Bicubic interpolation of position embeddings as a cached linear operator.

    What is computed once per size is the operator (two small matrices), which depends
    on nothing but the sizes. The result itself must not be kept between calls:
    ``pos_embed`` changes at each step, and mmengine's EMA hook swaps weights through
    ``.data.copy_``, which neither moves the tensor nor counts in its ``_version``.
    As matrix products the gradient is also deterministic on CUDA, where that of
    ``F.interpolate(mode='bicubic')`` is not.
    """

    def __init__(self) -> None:
        self._operators: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    def _operator(
        self, source: Grid, target: Grid, like: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the (rows, columns) matrices for one pair of grids."""
        if torch.compiler.is_compiling():  # traced into the graph, folded there
            return tuple(  # type: ignore[return-value]
                _bicubic_matrix(s, t, like) for s, t in zip(source, target, strict=True)
            )
        key = (source, target, str(like.device), like.dtype)
        if key not in self._operators:
            # Tensors born in inference mode could not serve a later training step.
            with torch.inference_mode(False), torch.no_grad():
                self._operators[key] = (
                    _bicubic_matrix(source[0], target[0], like),
                    _bicubic_matrix(source[1], target[1], like),
                )
        return self._operators[key]

    def __call__(self, pos_embed: Tensor, source: Grid, target: Grid) -> Tensor:
        """Interpolate.

        Args:
            pos_embed: (1, source rows * columns, C), row-major.
            source: Rows and columns of ``pos_embed``.
            target: Wanted rows and columns.

        Returns:
            (1, target rows * columns, C), dtype of ``pos_embed``; the very same tensor
            if the grids are equal.
        """
        if source == target:
            return pos_embed
        with _full_precision(pos_embed.device.type):
            # fp32 whatever the model's precision below it; fp64 stays fp64.
            exact = torch.promote_types(pos_embed.dtype, torch.float32)
            grid = pos_embed.to(exact)
            rows, columns = self._operator(source, target, grid)
            dims = grid.shape[-1]
            grid = grid.reshape(source[0], source[1] * dims)
            grid = (rows @ grid).view(target[0], source[1], dims)
            grid = torch.matmul(columns, grid)
        return grid.reshape(1, target[0] * target[1], dims).to(pos_embed.dtype)


def _side(cells: int) -> int | None:
    """Return the side of a square of ``cells`` cells, or None if there is none."""
    side = math.isqrt(cells)
    return side if cells > 0 and side * side == cells else None


def fit_pos_embed(
    pos_embed: Tensor, target: Grid, key: str = 'pos_embed'
) -> tuple[Tensor, Tensor | None]:
    """Bring a stored position embedding to a grid, splitting off a class token's slot.

    In this order: a length that equals the grid's is taken as it is, a square one is a
    square grid, and one more than the grid's or than a square is a class token's slot
    followed by the grid.

    Args:
        pos_embed: (1, length, C) from a checkpoint.
        target: Rows and columns of the model's grid.
        key: Name of the tensor, for the error message.

    Returns:
        (1, target rows * columns, C) in the dtype of ``pos_embed``, and the slot
        (1, 1, C) or None.

    Raises:
        ValueError: The length fits none of these.
    """
    length, cells = pos_embed.shape[1], target[0] * target[1]
    if length == cells:
        return pos_embed, None
    if _side(length) is None and length - 1 == cells:
        return pos_embed[:, 1:], pos_embed[:, :1]
    for slots in (0, 1):
        side = _side(length - slots)
        if side is not None:
            grid, slot = pos_embed[:, slots:], pos_embed[:, :slots]
            with torch.no_grad():
                fitted = PositionInterpolator()(grid, (side, side), target)
            return fitted, slot if slots else None
    raise ValueError(
        f'{key}: shape {tuple(pos_embed.shape)} cannot be brought to a grid of '
        f'{target[0]} x {target[1]}: allowed are {cells} positions or a square number '
        'of them, each with or without one slot for a class token'
    )
