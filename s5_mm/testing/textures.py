"""Surfaces and sensor of the synthetic scenes."""

from __future__ import annotations

import cv2
import numpy as np

from .style import Style

# Strength of the fine and of the coarse texture of each class, by id (field,
# road, building, water, tree, vehicle).
_FINE = np.array([0.055, 0.03, 0.03, 0.012, 0.13, 0.02], dtype=np.float32)
_COARSE = np.array([0.07, 0.05, 0.02, 0.05, 0.06, 0.0], dtype=np.float32)


def smooth_noise(rng: np.random.Generator, size: int, cell: float) -> np.ndarray:
    """Draw noise whose bumps have a size.

    Args:
        rng: Source of the draws.
        size: Side of the result in pixels.
        cell: Distance between bumps in pixels.

    Returns:
        Noise with mean about 0 and variance below 1, float32 (size, size).
    """
    knots = max(int(np.ceil(size / max(cell, 1.0))), 1) + 3
    coarse = rng.standard_normal((knots, knots), dtype=np.float32)
    span = int(np.ceil(knots * max(cell, 1.0)))
    fine = cv2.resize(coarse, (max(span, size), max(span, size)))
    start = (fine.shape[0] - size) // 2
    return fine[start : start + size, start : start + size]


def furrows(
    rng: np.random.Generator, shape: tuple[int, int], style: Style, angle: float
) -> np.ndarray:
    """Draw the lines that machines leave on a field.

    Args:
        rng: Source of the draws.
        shape: Height and width of the result in pixels.
        style: Style of the scene.
        angle: Direction of the lines in radians.

    Returns:
        Relative brightness around 1, float32 ``shape``.
    """
    across = np.array([-np.sin(angle), np.cos(angle)], dtype=np.float32)
    # A row below three pixels would only be moire.
    period = max(rng.uniform(1.5, 5.0) * style.scale, 3.0)
    y = np.arange(shape[0], dtype=np.float32)[:, None] * (2 * np.pi / period)
    x = np.arange(shape[1], dtype=np.float32)[None] * (2 * np.pi / period)
    phase = y * across[1] + x * across[0]
    rows = rng.uniform(0.02, 0.14) * np.sin(phase)
    if rng.random() < 0.4:  # wheel tracks, narrow and further apart
        rows -= 0.16 * (np.cos(phase / 6) > 0.965)
    return (1 + rows).astype(np.float32)


def expose(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, style: Style
) -> np.ndarray:
    """Photograph the painted scene: texture, haze, colour cast, blur and noise.

    Args:
        rng: Source of the draws.
        image: The painted scene, uint8 (size, size, 3) RGB.
        mask: Class of each pixel, uint8 (size, size) below 6.
        style: Style of the scene.

    Returns:
        The photograph, uint8 (size, size, 3) RGB.
    """
    size = image.shape[0]
    grain = smooth_noise(rng, size, 1.2) + smooth_noise(rng, size, 3.0)
    clouds = smooth_noise(rng, size, 9 * style.scale) + smooth_noise(
        rng, size, 22 * style.scale
    )
    texture = 1 + _FINE[mask] * grain + _COARSE[mask] * clouds
    light = image.astype(np.float32) * texture[..., None]
    light *= ((1 - style.haze) * style.gain).astype(np.float32)
    light += np.float32(style.haze) * np.array([176, 184, 196], dtype=np.float32)
    if style.blur > 0.3:
        light = cv2.GaussianBlur(light, (0, 0), style.blur)
    light += np.float32(style.noise) * rng.standard_normal(
        light.shape, dtype=np.float32
    )
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)
