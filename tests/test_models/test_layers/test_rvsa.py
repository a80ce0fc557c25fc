"""Window attention with moved, scaled and turned windows equals plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from s5_mm.models.layers.relative_positions import (
    decomposed_bias,
    fit_offsets,
    window_bias,
)
from s5_mm.models.layers.rvsa import PositionedAttention, RotatedWindowAttention

DIMS, HEADS, WINDOW = 8, 2, 3


def _random(module, seed=0, size=0.4):
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator).double()
            parameter.copy_(size * noise)
    return module


def _tokens(n, grid, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, grid[0] * grid[1], DIMS, generator=generator).double()


def _bilinear(image, x, y):
    """Value (d,) of (d, H, W) at a place in pixels, zeros outside."""
    total = torch.zeros(len(image), dtype=image.dtype)
    left, top = math.floor(x), math.floor(y)
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                total = total + weight * image[:, row, column]
    return total


def _by_loops(module, x, grid):
    """The original's definition, one query, key and coordinate after the other."""
    rows, columns = grid
    side, dims = WINDOW, DIMS // HEADS
    down, right = -rows % side, -columns % side
    top, left = down // 2, right // 2
    height, width = rows + down, columns + right
    line_y = torch.linspace(-1, 1, height, dtype=torch.float64)
    line_x = torch.linspace(-1, 1, width, dtype=torch.float64)
    result = torch.zeros_like(x)
    for n in range(len(x)):
        padded = torch.zeros(DIMS, height, width, dtype=torch.float64)
        qkv = torch.zeros(3 * DIMS, height, width, dtype=torch.float64)
        for row in range(rows):
            for column in range(columns):
                token = x[n, row * columns + column]
                padded[:, top + row, left + column] = token
                qkv[:, top + row, left + column] = (
                    module.attn.in_proj_weight @ token + module.attn.in_proj_bias
                )
        joined = torch.zeros(DIMS, height, width, dtype=torch.float64)
        for i in range(height // side):
            for j in range(width // side):
                ys = range(i * side, (i + 1) * side)
                xs = range(j * side, (j + 1) * side)
                mean = sum(padded[:, a, b] for a in ys for b in xs) / side**2
                mean = torch.where(mean > 0, mean, 0.01 * mean)

                def predicted(part, mean=mean):
                    conv = part[2]
                    return conv.weight[:, :, 0, 0] @ mean + conv.bias

                offsets = predicted(module.sampling_offsets)
                scales = predicted(module.sampling_scales)
                angles = predicted(module.sampling_angles)
                centre_x = sum(line_x[b] for b in xs) / side
                centre_y = sum(line_y[a] for a in ys) / side
                for head in range(HEADS):
                    dx = offsets[2 * head] / (rows // side)
                    dy = offsets[2 * head + 1] / (columns // side)
                    angle = angles[head]
                    part = slice(head * dims, (head + 1) * dims)
                    keys, values = [], []
                    for a in range(side):
                        for b in range(side):
                            u = (b - (side - 1) / 2) * 2 / (width - 1)
                            v = (a - (side - 1) / 2) * 2 / (height - 1)
                            u = u * (scales[2 * head] + 1)
                            v = v * (scales[2 * head + 1] + 1)
                            place_x = centre_x + u * angle.cos() - v * angle.sin() + dx
                            place_y = centre_y + u * angle.sin() + v * angle.cos() + dy
                            pixel = (
                                (place_x.item() + 1) / 2 * (width - 1),
                                (place_y.item() + 1) / 2 * (height - 1),
                            )
                            keys.append(_bilinear(qkv[DIMS : 2 * DIMS][part], *pixel))
                            values.append(_bilinear(qkv[2 * DIMS :][part], *pixel))
                    for a in range(side):
                        for b in range(side):
                            query = qkv[:DIMS][part][:, ys[a], xs[b]]
                            scores = []
                            for number, key in enumerate(keys):
                                below = a - number // side + side - 1
                                beside = b - number % side + side - 1
                                bias = query @ module.rel_pos_h[below]
                                bias = bias + query @ module.rel_pos_w[beside]
                                table = module.relative_position_bias_table
                                bias = (
                                    bias + table[below * (2 * side - 1) + beside, head]
                                )
                                scores.append(query @ key / dims**0.5 + bias)
                            weights = torch.stack(scores).softmax(0)
                            joined[part, ys[a], xs[b]] = sum(
                                w * v for w, v in zip(weights, values, strict=True)
                            )
        for row in range(rows):
            for column in range(columns):
                token = joined[:, top + row, left + column]
                result[n, row * columns + column] = (
                    module.attn.out_proj.weight @ token + module.attn.out_proj.bias
                )
    return result


@pytest.mark.parametrize('grid', [(3, 3), (6, 6), (4, 5), (5, 10)])
def test_windows_equal_loops(grid):
    module = _random(RotatedWindowAttention(DIMS, HEADS, WINDOW))
    x = _tokens(2, grid)
    with torch.no_grad():
        torch.testing.assert_close(module(x, grid), _by_loops(module, x, grid))


def test_still_windows_are_plain_windows():
    module = _random(RotatedWindowAttention(DIMS, HEADS, WINDOW))
    for part in (
        module.sampling_offsets,
        module.sampling_scales,
        module.sampling_angles,
    ):
        torch.nn.init.zeros_(part[2].weight)
        torch.nn.init.zeros_(part[2].bias)
    torch.nn.init.zeros_(module.rel_pos_h)
    torch.nn.init.zeros_(module.rel_pos_w)
    torch.nn.init.zeros_(module.relative_position_bias_table)
    grid, x = (6, 3), _tokens(1, (6, 3))
    qkv = F.linear(x, module.attn.in_proj_weight, module.attn.in_proj_bias)
    windows = qkv.view(2, 9, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    expected = (
        F.scaled_dot_product_attention(*windows).transpose(1, 2).reshape(1, 18, 8)
    )
    with torch.no_grad():
        torch.testing.assert_close(module(x, grid), module.attn.out_proj(expected))


def test_every_parameter_gets_a_gradient():
    module = _random(RotatedWindowAttention(DIMS, HEADS, WINDOW))
    module(_tokens(1, (4, 7)), (4, 7)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('grid', [(4, 4), (3, 5)])
def test_full_attention_equals_loops(grid):
    module = _random(PositionedAttention(DIMS, HEADS, grid))
    x = _tokens(1, grid)
    dims = DIMS // HEADS
    cells = [(r, c) for r in range(grid[0]) for c in range(grid[1])]
    qkv = F.linear(x[0], module.attn.in_proj_weight, module.attn.in_proj_bias)
    out = torch.zeros_like(x[0])
    for head in range(HEADS):
        part = slice(head * dims, (head + 1) * dims)
        q, k, v = (p[:, part] for p in qkv.chunk(3, -1))
        for i, (row, column) in enumerate(cells):
            scaled = q[i] / dims**0.5
            scores = [
                scaled
                @ (
                    k[j]
                    + module.full_attn_rel_pos_h[row - r + grid[0] - 1]
                    + module.full_attn_rel_pos_w[column - c + grid[1] - 1]
                )
                for j, (r, c) in enumerate(cells)
            ]
            out[i, part] = torch.stack(scores).softmax(0) @ v
    with torch.no_grad():
        torch.testing.assert_close(
            module(x, grid)[0], module.attn.out_proj(out), rtol=1e-9, atol=1e-9
        )


def test_tables_fit_other_grids():
    table = torch.tensor([[0.0], [1.0], [2.0]])  # offsets -1, 0, 1
    assert fit_offsets(table, 2) is table
    larger = fit_offsets(table, 4)
    assert larger.shape == (7, 1)
    torch.testing.assert_close(larger[3], torch.tensor([1.0]))  # offset 0 stays
    torch.testing.assert_close(larger.flip(0), 2 - larger)
    query = torch.randn(2, 3, 8, 1)
    assert decomposed_bias(query, table, table, (4, 2)).shape == (2, 3, 8, 8)


def test_window_bias_is_swins():
    mmseg = pytest.importorskip('mmseg.models.backbones.swin')
    theirs = mmseg.WindowMSA(8, 2, (3, 3))
    table = theirs.relative_position_bias_table
    expected = table[theirs.relative_position_index.view(-1)].view(9, 9, 2)
    assert torch.equal(window_bias(table, 3), expected.permute(2, 0, 1))
