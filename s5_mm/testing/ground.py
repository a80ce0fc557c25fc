"""The open ground of the synthetic scenes: fields, plots, rivers and ponds."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import FIELD, WATER, Canvas
from .geometry import area, bend, inset, partition
from .style import Style, pick
from .textures import furrows, smooth_noise


def paint_ground(
    canvas: Canvas,
    style: Style,
    shape: np.ndarray,
    use: int,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Paint the open ground of a parcel.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        shape: Corners of the parcel, float (N, 2).
        use: What it is used for: 0 field, 2 housing, 3 halls; others stay grass.
        rng: Source of the draws.

    Returns:
        The building plots of the parcel, float (N_i, 2) each.
    """
    scale = style.scale
    if use == 0:
        _paint_field(canvas, style, shape, rng)
    if use == 2:
        plots, _ = partition(rng, inset(shape, 2.5 * scale), (15 * scale) ** 2)
        gardens = (style.grass, style.crops[0], (150, 140, 116))
        plots = [plot for plot in plots if canvas.meets(plot)]
        for plot in plots:
            canvas.polygon(inset(plot, 0.4 * scale), pick(rng, gardens, 7))
        return plots
    if use == 3:
        yard = pick(rng, ((170, 154, 126), (154, 140, 112), style.grass), 6)
        canvas.polygon(inset(shape, 2 * scale), yard)
        return partition(rng, inset(shape, 5 * scale), (24 * scale) ** 2)[0]
    return []


def _paint_field(
    canvas: Canvas, style: Style, shape: np.ndarray, rng: np.random.Generator
) -> None:
    """Paint a field: crop, rows of the machines, patches where it grows worse."""
    shape = inset(shape, rng.uniform(0.3, 1.2) * style.scale)
    color = pick(rng, style.crops, 9)
    low = np.clip(np.floor(shape.min(axis=0)).astype(int), 0, canvas.size)
    high = np.clip(np.ceil(shape.max(axis=0)).astype(int) + 1, 0, canvas.size)
    if (high - low).min() < 1:
        return
    edges = np.roll(shape, -1, axis=0) - shape
    longest = edges[np.argmax((edges**2).sum(axis=1))]
    angle = float(np.arctan2(longest[1], longest[0]))
    box = (high - low)[::-1]
    rows = furrows(rng, (int(box[0]), int(box[1])), style, angle)
    patches = smooth_noise(rng, int(max(box)), rng.uniform(5, 14) * style.scale)
    rows = rows * (1 + rng.uniform(0.0, 0.09) * patches[: box[0], : box[1]])
    window = canvas.image[low[1] : high[1], low[0] : high[0]]
    inside = np.zeros(window.shape[:2], dtype=np.uint8)
    cv2.fillPoly(inside, [np.rint((shape - low) * 16).astype(np.int32)], 255, 16, 4)
    crop = np.clip(rows[..., None] * np.array(color, dtype=np.float32), 0, 255)
    cover = inside[..., None].astype(np.float32) / 255
    window[:] = window * (1 - cover) + crop * cover


def paint_river(canvas: Canvas, style: Style, rng: np.random.Generator) -> None:
    """Paint a river with its banks across the tile.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        rng: Source of the draws.
    """
    curve = bend(rng, canvas.size, 0.12)
    width = rng.uniform(7, 24) * style.scale
    bank = pick(rng, ((132, 122, 92), (92, 104, 66), (118, 112, 88)), 6)
    canvas.ribbon(curve, width + 3 * style.scale, bank)
    canvas.ribbon(curve, width, style.water, WATER)
    canvas.ribbon(curve, width * 0.45, pick(rng, (style.water,), 4))
    canvas.taken |= cv2.dilate((canvas.mask == WATER).astype(np.uint8), np.ones((3, 3)))


def paint_pond(
    canvas: Canvas, style: Style, shape: np.ndarray, rng: np.random.Generator
) -> None:
    """Paint a pond with an uneven shore inside a parcel.

    Args:
        canvas: Where to paint.
        style: Style of the scene.
        shape: Corners of the parcel, float (N, 2).
        rng: Source of the draws.
    """
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.sqrt(area(shape)) * rng.uniform(0.3, 0.48)
    uneven = 1 + 0.16 * np.sin(2 * turn + rng.uniform(0, 6.3))
    uneven += 0.1 * np.sin(3 * turn + rng.uniform(0, 6.3))
    shore = radius * uneven[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    middle = shape.mean(axis=0)
    bank = pick(rng, ((128, 118, 88), (96, 106, 68)), 6)
    canvas.polygon(middle + shore * 1.08, bank, FIELD)
    canvas.polygon(middle + shore, style.water, WATER)
    canvas.polygon(middle + shore * 0.8, pick(rng, (style.water,), 3))
    canvas.reserve(middle + shore * 1.08)
