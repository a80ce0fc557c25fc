"""Drawn rasters for the tests of large images."""

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')

GRID = dict(crs='EPSG:32652', transform=rasterio.Affine(10, 0, 3e5, 0, -10, 4e6))
CLASSES, PALETTE = ('dark', 'middle', 'bright'), [[9, 8, 7], [0, 200, 0], [255, 0, 1]]
PROTOCOL = dict(mode='slide', crop_size=(64, 64), stride=(48, 48))


def draw_pixels(height=700, width=530, channels=3):
    """Draw noise, uint8 (height, width, channels)."""
    return np.random.default_rng(0).integers(
        0, 256, (height, width, channels), dtype=np.uint8
    )


def write_tiff(path, pixels, **profile):
    """Write (H, W, C) and give the name of the file."""
    height, width, count = pixels.shape
    options = dict(driver='GTiff', dtype=pixels.dtype, count=count, **profile)
    with rasterio.open(path, 'w', height=height, width=width, **options) as file:
        file.write(pixels.transpose(2, 0, 1))
    return str(path)
