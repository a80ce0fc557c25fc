"""The tiles that ``benchmark_leakage.py`` reads, and what overlaps among them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from s5_mm.io.images.read import read_image

_TILE_NAME = re.compile(r'.*-(\d+)-(\d+)-(\d+)')


def read_tiles(folder: Path, size: int) -> list[tuple[str, np.ndarray]]:
    """Cut the images of a folder into tiles.

    Args:
        folder: The folder.
        size: Side of the tiles in pixels; what remains at the border is left out.

    Returns:
        Name of the image and tile, uint8 (size, size, 3) RGB.
    """
    endings = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp')
    tiles = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in endings):
        image = read_image(str(path), alpha='drop', grey='repeat')
        for y in range(0, image.shape[0] - size + 1, size):
            for x in range(0, image.shape[1] - size + 1, size):
                tile = np.ascontiguousarray(image[y : y + size, x : x + size])
                tiles.append((path.stem, tile))
    return tiles


def half_overlaps(tile: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cut pairs of crops that share half of the ground, or a quarter (diagonal).

    Args:
        tile: uint8, (H, W, 3) with W of at least H, RGB.

    Returns:
        By name, two crops of two thirds of the side.
    """
    side = tile.shape[0] * 2 // 3
    rest = side // 2
    first = tile[:side, :side]
    return {
        name: (first.copy(), tile[y : y + side, x : x + side].copy())
        for name, x, y in (
            ('half, x', rest, 0),
            ('half, y', 0, rest),
            ('quarter, diagonal', rest, rest),
        )
    }


def zoom_level(name: str) -> int:
    """Read the zoom level from the name of a tile, -1 if it has none."""
    match = _TILE_NAME.fullmatch(name)
    return int(match[3]) if match else -1


def pyramid(names: list[str]) -> list[tuple[int, int]]:
    """List rows of tiles (finer) with those of the tile above them (coarser).

    Args:
        names: Of all tiles; those that are not ``*-x-y-z`` are left out.

    Returns:
        Pairs of row of the finer and row of the coarser tile.
    """
    place = {}
    for row, name in enumerate(names):
        if match := _TILE_NAME.fullmatch(name):
            place[tuple(map(int, match.groups()))] = row
    return [
        (row, place[x // 2, y // 2, z - 1])
        for (x, y, z), row in place.items()
        if (x // 2, y // 2, z - 1) in place
    ]
