"""Folders of images and masks as people have them: drawn land and water."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WATER, LAND = (30, 80, 180), (190, 170, 120)


def scene(number: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image of a round lake, and its mask: 0 is land, 1 water.

    Args:
        number: Decides where the lake is.
        side: Of the image in pixels.

    Returns:
        uint8 (side, side, 3) RGB, and uint8 (side, side) ids.
    """
    generator = np.random.default_rng(number)
    middle = generator.integers(side // 4, side - side // 4, 2)
    rows, columns = np.mgrid[:side, :side]
    radius = side / 5 + side / 10 * generator.random()
    lake = np.hypot(rows - middle[0], columns - middle[1]) < radius
    colours = np.where(lake[..., None], WATER, LAND)
    noise = generator.integers(-12, 13, (side, side, 3))
    return (colours + noise).astype(np.uint8), lake.astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    """Write an image in RGB, or a mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), pixels)


def write_folder(
    root: Path,
    count: int = 6,
    images: str = 'images/{}.jpg',
    masks: str = 'masks/{}.png',
    values: tuple = (0, 1),
    side: int = 64,
    first: int = 0,
) -> Path:
    """Write images and masks.

    Args:
        root: The folder.
        count: Number of pairs.
        images: Path of an image below it, with {} for its name.
        masks: Path of a mask.
        values: What the masks hold for land and water: values or colours.
        side: Of the images in pixels.
        first: Number of the first one.

    Returns:
        The folder.
    """
    table = np.array(values, np.uint8)
    for number in range(first, first + count):
        image, ids = scene(number, side)
        write(root / images.format(f'tile {number}'), image)
        write(root / masks.format(f'tile {number}'), table[ids])
    return root
