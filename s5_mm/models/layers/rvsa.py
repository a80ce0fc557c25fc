"""Rotated varied-size window attention (RVSA), and full attention beside it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import AttentionProjections
from .linear import linear
from .relative_positions import decomposed_bias, window_bias

Grid = tuple[int, int]


def _heads(x: Tensor, attn: AttentionProjections, heads: int) -> Tensor:
    """Project tokens (N, L, C) to query, key and value, (3, N, heads, L, C / heads)."""
    qkv = linear(x, attn.in_proj_weight, attn.in_proj_bias)
    return qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)


class PositionedAttention(nn.Module):
    """Full attention with decomposed relative positions.

    Args:
        embed_dims: Width C.
        num_heads: Number of heads.
        grid: Rows and columns for which the positions are stored; for others they are
            interpolated (the original takes no others).
    """

    def __init__(self, embed_dims: int, num_heads: int, grid: Grid) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attn = AttentionProjections(embed_dims)
        self.full_attn_rel_pos_h = nn.Parameter(
            torch.zeros(2 * grid[0] - 1, embed_dims // num_heads)
        )
        self.full_attn_rel_pos_w = nn.Parameter(
            torch.zeros(2 * grid[1] - 1, embed_dims // num_heads)
        )

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Attend over all tokens.

        Args:
            x: Normalised tokens (N, L, C).
            grid: Rows and columns of the L tokens.

        Returns:
            (N, L, C), without the residual.
        """
        query, key, value = _heads(x, self.attn, self.num_heads)
        # Positions meet the scaled query, unlike those of the windows below.
        bias = decomposed_bias(
            query * query.shape[-1] ** -0.5,
            self.full_attn_rel_pos_h,
            self.full_attn_rel_pos_w,
            grid,
        )
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.attn.out_proj(out.transpose(1, 2).flatten(2))


class RotatedWindowAttention(nn.Module):
    """Attention of windows to windows that are moved, scaled and turned.

    For each window and head the mean of the window's tokens predicts an offset, a scale
    for each axis and an angle; keys and values are sampled (bilinear, zeros outside) at
    the cells of the window so transformed, the queries stay.  All of it happens in
    coordinates from -1 to 1 of the padded map, as in the original: on a map that is not
    square a turn is a shear.  The tokens are padded with zeros to whole windows, half
    on each side.

    Args:
        embed_dims: Width C.
        num_heads: Number of heads.
        window: Side of the windows in tokens.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: int = 7) -> None:
        super().__init__()
        self.num_heads, self.window = num_heads, window
        self.attn = AttentionProjections(embed_dims)
        offsets, dims = 2 * window - 1, embed_dims // num_heads
        self.rel_pos_h = nn.Parameter(torch.zeros(offsets, dims))
        self.rel_pos_w = nn.Parameter(torch.zeros(offsets, dims))
        self.relative_position_bias_table = nn.Parameter(
            torch.empty(offsets**2, num_heads)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.sampling_offsets = self._predictor(embed_dims, 2)
        self.sampling_scales = self._predictor(embed_dims, 2)
        self.sampling_angles = self._predictor(embed_dims, 1)

    def _predictor(self, embed_dims: int, values: int) -> nn.Sequential:
        """Build what predicts ``values`` numbers for each window and head."""
        return nn.Sequential(
            nn.AvgPool2d(self.window, self.window),
            nn.LeakyReLU(),
            nn.Conv2d(embed_dims, self.num_heads * values, kernel_size=1),
        )

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Attend from each window to where it looks.

        Args:
            x: Normalised tokens (N, L, C).
            grid: Rows and columns of the L tokens.

        Returns:
            (N, L, C), without the residual.
        """
        side = self.window
        padding = [-cells % side for cells in grid]
        top, left = (missing // 2 for missing in padding)
        pad = (left, padding[1] - left, top, padding[0] - top)
        tokens = F.pad(x.transpose(1, 2).unflatten(2, grid), pad)
        points = self._points(tokens, grid).to(x.dtype)

        query, key, value = (
            F.pad(part.transpose(-2, -1).unflatten(-1, grid), pad)
            for part in _heads(x, self.attn, self.num_heads)
        )
        both = torch.cat([key, value], dim=2).flatten(0, 1)
        both = F.grid_sample(both, points, mode='bilinear', align_corners=True)
        key, value = both.unflatten(0, query.shape[:2]).chunk(2, dim=2)

        query, key, value = map(self._to_windows, (query, key, value))
        cells = (side, side)
        bias = decomposed_bias(query, self.rel_pos_h, self.rel_pos_w, cells)
        bias = bias + window_bias(self.relative_position_bias_table, side)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out = self._from_windows(out, len(x), (tokens.shape[-2], tokens.shape[-1]))
        out = out[:, top : top + grid[0], left : left + grid[1]]
        return self.attn.out_proj(out.flatten(1, 2))

    def _points(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Say where each cell of each head samples.

        Args:
            tokens: Padded map (N, C, H, W).
            grid: Rows and columns before padding.

        Returns:
            (N * heads, H, W, 2), x and y from -1 to 1, fp32 or better.
        """
        side = self.window
        height, width = tokens.shape[-2:]
        count = len(tokens) * self.num_heads
        windows = (height // side, width // side)

        def predict(module: nn.Module, values: int) -> Tensor:
            """Predict (N * heads, values, windows, 1, windows, 1)."""
            found = module(tokens).reshape(count, values, *windows)
            exact = torch.promote_types(found.dtype, torch.float32)
            return found.to(exact)[:, :, :, None, :, None]

        scale = predict(self.sampling_scales, 2) + 1
        angle = predict(self.sampling_angles, 1)
        # The original divides x by the windows of a column and y by those of a row.
        whole = [max(cells // side, 1) for cells in grid]
        offset = predict(self.sampling_offsets, 2)
        offset = offset / offset.new_tensor(whole).view(1, 2, 1, 1, 1, 1)

        def axis(length: int) -> tuple[Tensor, Tensor]:
            """Centres of the windows and places in a window, of -1 to 1."""
            step = 2 / max(length - 1, 1)
            place = torch.arange(side, device=tokens.device, dtype=scale.dtype)
            place = place - (side - 1) / 2
            number = torch.arange(
                length // side, device=tokens.device, dtype=scale.dtype
            )
            centre = number * side + (side - 1) / 2
            return centre * step - 1, place * step

        centre_y, y = axis(height)
        centre_x, x = axis(width)
        # Axes: image and head, row and row in it, column and column in it.
        x = x.view(1, 1, 1, 1, side) * scale[:, 0]
        y = y.view(1, 1, side, 1, 1) * scale[:, 1]
        sin, cos = angle[:, 0].sin(), angle[:, 0].cos()
        turned_x = x * cos - y * sin + offset[:, 0] + centre_x.view(1, 1, 1, -1, 1)
        turned_y = x * sin + y * cos + offset[:, 1] + centre_y.view(1, -1, 1, 1, 1)
        return torch.stack([turned_x, turned_y], -1).reshape(count, height, width, 2)

    def _to_windows(self, maps: Tensor) -> Tensor:
        """Cut (N, heads, d, H, W) into (N * windows, heads, side^2, d)."""
        n, heads, dims, height, width = maps.shape
        side = self.window
        maps = maps.view(n, heads, dims, height // side, side, width // side, side)
        maps = maps.permute(0, 3, 5, 1, 4, 6, 2)
        return maps.reshape(-1, heads, side * side, dims)

    def _from_windows(self, out: Tensor, n: int, size: Grid) -> Tensor:
        """Put (N * windows, heads, side^2, d) together to (N, H, W, C)."""
        side = self.window
        rows, columns = (length // side for length in size)
        out = out.reshape(n, rows, columns, self.num_heads, side, side, -1)
        out = out.permute(0, 1, 4, 2, 5, 3, 6)
        return out.reshape(n, rows * side, columns * side, -1)
