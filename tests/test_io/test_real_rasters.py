"""Real rasters of more than 8 bits and with holes; set S5_MM_DATA to their folder.

Expected below it: ``multiband/worldview/`` with panchromatic images of 11 bits,
``multiband/naip/`` with four bands, ``geotiff/`` and ``oam_tiles/``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_image
from s5_mm.io.images.rows import open_rows

from ..test_datasets.rasters import rasterio

DATA = Path(os.environ.get('S5_MM_DATA') or '/none')
pytestmark = [
    pytest.mark.skipif(
        not (DATA / 'multiband').is_dir(),
        reason='S5_MM_DATA does not name a folder of real imagery with multiband/',
    ),
    pytest.mark.filterwarnings('ignore::UserWarning'),
]


def test_eleven_bits() -> None:
    path = str(DATA / 'multiband/worldview/pan1.tif')
    message = 'are 1 to 1848, of which the high byte leaves 0 to 7; .* 0 2047 of tools'
    with pytest.raises(ImageError, match=message):
        open_rows(path, high_byte=True)
    with rasterio.open(path) as file:
        want = np.round(file.read(1) * (255 / 2047))
    got = read_image(path, grey='repeat', sample_range=(0, 2047))
    np.testing.assert_array_equal(got, np.dstack([want] * 3))
    assert len(np.unique(got)) > 200


def test_four_bands_are_no_rgba() -> None:
    path = str(DATA / 'multiband/naip/20180716.tif')
    for read in (lambda: read_image(path, 'drop'), lambda: open_rows(path)):
        with pytest.raises(ImageError, match='4 channels, expected 8-bit RGB'):
            read()


def test_holes_are_noted() -> None:
    noted: dict[str, float] = {}
    path = str(DATA / 'geotiff/OSBS_029.tif')
    read_image(path, note=noted.__setitem__)
    with rasterio.open(path) as file:
        assert noted == {path: (file.dataset_mask() == 0).mean()}
    noted.clear()
    tiles = sorted((DATA / 'oam_tiles').glob('region2/*.png'))[:40]
    shares = []
    for tile in tiles:
        with rasterio.open(tile) as file:
            shares.append((file.dataset_mask() == 0).mean())
        pixels = read_image(str(tile), 'drop', note=noted.__setitem__)
        np.testing.assert_array_equal(pixels, read_image(str(tile), 'drop'))
    want = {str(tile): share for tile, share in zip(tiles, shares, strict=True)}
    assert noted == pytest.approx({k: v for k, v in want.items() if v})
    assert noted
