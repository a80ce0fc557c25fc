"""Small rasters of every kind for the tests of their readers."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio', reason="pip install 's5_mm[geo]'")


def write_raster(
    path: Path, bands: np.ndarray, driver: str = 'GTiff', **profile
) -> str:
    """Write bands (C, H, W) and return the name of the file."""
    count, height, width = bands.shape
    size = dict(driver=driver, count=count, height=height, width=width)
    with rasterio.open(path, 'w', **size, dtype=bands.dtype, **profile) as file:
        file.write(bands)
    return str(path)


def set_tag(path: str, tag: int, value: int) -> None:
    """Change a value of the first directory of a little-endian TIFF."""
    data = bytearray(Path(path).read_bytes())
    (start,) = struct.unpack_from('<I', data, 4)
    (count,) = struct.unpack_from('<H', data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from('<H', data, entry)[0] == tag:
            struct.pack_into('<H', data, entry + 8, value)
            Path(path).write_bytes(data)
            return
    raise AssertionError(f'no tag {tag}')
