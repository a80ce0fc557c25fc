"""What varies between two synthetic scenes: light, season, sensor and scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Color = tuple[int, int, int]

# Colours are 8-bit sRGB, picked from aerial photographs of temperate farmland.
_CROPS: tuple[tuple[Color, ...], ...] = (
    ((84, 110, 58), (106, 130, 72), (124, 132, 82), (178, 158, 106), (130, 106, 82)),
    ((168, 150, 108), (150, 130, 94), (188, 172, 132), (120, 112, 78), (140, 118, 92)),
    ((98, 132, 64), (130, 150, 72), (186, 176, 74), (112, 90, 70), (88, 116, 66)),
    ((112, 106, 88), (130, 120, 100), (94, 98, 74), (142, 132, 114), (104, 90, 76)),
)
_GRASS: tuple[Color, ...] = (
    (104, 122, 72),
    (146, 136, 94),
    (106, 134, 70),
    (114, 112, 84),
)
_CROWNS: tuple[tuple[Color, ...], ...] = (
    ((46, 70, 38), (56, 80, 42), (40, 60, 38)),
    ((118, 90, 46), (92, 88, 46), (134, 76, 44), (60, 74, 42)),
    ((74, 98, 48), (60, 84, 44), (90, 108, 58)),
    ((84, 78, 66), (70, 66, 56), (48, 60, 44)),
)
_ROOFS: tuple[tuple[Color, ...], ...] = (
    ((158, 86, 64), (140, 76, 58), (170, 102, 78), (116, 82, 66)),
    ((96, 98, 104), (72, 72, 78), (112, 108, 106), (84, 78, 76)),
    ((190, 188, 182), (222, 220, 214), (150, 156, 164), (172, 160, 144)),
)
_WATERS: tuple[Color, ...] = (
    (36, 60, 66),
    (46, 76, 72),
    (62, 86, 80),
    (88, 92, 72),
    (30, 48, 62),
)
_ROADS: tuple[Color, ...] = (
    (108, 108, 110),
    (128, 126, 124),
    (92, 92, 96),
    (150, 148, 142),
)


class Style(NamedTuple):
    """Properties that all objects of one scene share.

    Attributes:
        scale: Pixels per metre.
        angle: Direction of the parcels, in radians.
        sun: Unit vector (x, y) in which shadows fall.
        reach: Length of a shadow over the height of what casts it.
        shade: Brightness left inside a shadow, in [0, 1].
        crops: Colours of fields.
        grass: Colour of meadows and gardens.
        crowns: Colours of trees.
        roofs: Colours of roofs.
        water: Colour of water.
        road: Colour of asphalt.
        gain: Colour cast, one factor a channel.
        haze: Share of the light that is scattered, in [0, 1].
        blur: Standard deviation of the optics in pixels; 0 for none.
        noise: Standard deviation of the sensor noise in grey levels.
    """

    scale: float
    angle: float
    sun: np.ndarray
    reach: float
    shade: float
    crops: tuple[Color, ...]
    grass: Color
    crowns: tuple[Color, ...]
    roofs: tuple[Color, ...]
    water: Color
    road: Color
    gain: np.ndarray
    haze: float
    blur: float
    noise: float


def draw_style(rng: np.random.Generator, gsd: tuple[float, float]) -> Style:
    """Draw the style of one scene.

    Args:
        rng: Source of the draws.
        gsd: Smallest and largest ground sampling distance in metres per pixel.

    Returns:
        The style.
    """
    season = int(rng.integers(len(_CROPS)))
    azimuth = rng.uniform(0, 2 * np.pi)
    brightness = rng.uniform(0.82, 1.18)
    # Most towns of a region share one kind of roof, some mix them.
    roofs = _ROOFS[int(rng.integers(3))] if rng.random() < 0.6 else sum(_ROOFS, ())
    return Style(
        scale=1 / np.exp(rng.uniform(np.log(gsd[0]), np.log(gsd[1]))),
        angle=rng.uniform(0, np.pi),
        sun=np.array([np.cos(azimuth), np.sin(azimuth)]),
        reach=rng.uniform(0.35, 1.1),
        shade=rng.uniform(0.35, 0.6),
        crops=_CROPS[season],
        grass=_GRASS[season],
        crowns=_CROWNS[season],
        roofs=roofs,
        water=_WATERS[int(rng.integers(len(_WATERS)))],
        road=_ROADS[int(rng.integers(len(_ROADS)))],
        gain=brightness * rng.uniform(0.92, 1.08, size=3),
        haze=rng.uniform(0.0, 0.22),
        blur=rng.uniform(0.0, 0.8),
        noise=rng.uniform(1.0, 5.0),
    )


def pick(rng: np.random.Generator, colors: tuple[Color, ...], spread: float) -> Color:
    """Draw a colour near one of several.

    Args:
        rng: Source of the draws.
        colors: The colours to choose from.
        spread: Standard deviation of the change, in grey levels; a third of it
            tints the channels apart, the rest makes the colour lighter or darker.

    Returns:
        The colour, each channel in [0, 255].
    """
    base = np.array(colors[int(rng.integers(len(colors)))], dtype=float)
    base += spread * (rng.standard_normal() + rng.standard_normal(3) / 3)
    red, green, blue = np.clip(base, 0, 255).astype(int).tolist()
    return red, green, blue
