"""Rows of images: read in bands as when decoded whole."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_image
from s5_mm.io.images.rows import StripImage, WholeImage, open_rows, read_image_header

from ..test_datasets.files import picture, write

SPANS = [(0, 30), (0, 50), (20, 45), (40, 70), (80, 90), (80, 200)]


def rasterio():
    return pytest.importorskip('rasterio', reason="pip install 's5_mm[geo]'")


def check(path: str, expected: np.ndarray, kind: type, **kwargs) -> None:
    rows = open_rows(path, **kwargs)
    assert isinstance(rows, kind)
    for start, stop in SPANS:
        np.testing.assert_array_equal(rows.read(start, stop), expected[start:stop])
    rows.close()
    late = open_rows(path, **kwargs)  # a resumed run begins anywhere
    np.testing.assert_array_equal(late.read(60, 80), expected[60:80])
    late.close()


def write_tiff(path: Path, bands: np.ndarray, **kwargs) -> str:
    profile = {
        'driver': 'GTiff',
        'count': len(bands),
        'height': bands.shape[1],
        'width': bands.shape[2],
        'dtype': bands.dtype,
    }
    with rasterio().open(path, 'w', **profile, **kwargs) as file:
        file.write(bands)
    return str(path)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA'])
def test_png(tmp_path: Path, mode: str) -> None:
    path = str(tmp_path / 'a.png')
    Image.fromarray(picture(1, 100, 70)).convert(mode).save(path)
    expected = read_image(path, alpha='drop', grey='repeat')
    assert expected.shape == (100, 70, 3)
    check(path, expected, WholeImage)
    rasterio()
    check(path, expected, StripImage, whole_pixels=10)


def test_jpeg(tmp_path: Path) -> None:
    """OpenCV and GDAL may round differently by a level or two."""
    rasterio()
    smooth = np.linspace(0, 255, 100 * 70 * 3).reshape(100, 70, 3).astype(np.uint8)
    path = write(tmp_path / 'a.jpg', smooth, quality=95)
    expected = open_rows(path).read(20, 60).astype(int)
    found = open_rows(path, whole_pixels=10).read(20, 60)
    assert abs(found - expected).max() <= 2


@pytest.mark.parametrize('tiled', [True, False])
def test_tiff(tmp_path: Path, tiled: bool) -> None:
    rasterio()
    image = picture(2, 100, 70)
    blocks = {'tiled': True, 'blockxsize': 32, 'blockysize': 32} if tiled else {}
    bands = image.transpose(2, 0, 1)
    path = write_tiff(tmp_path / 'a.tif', bands, compress='deflate', **blocks)
    check(path, image, StripImage)
    grey = write_tiff(tmp_path / 'g.tif', bands[:1])
    check(grey, np.repeat(image[..., :1], 3, 2), StripImage)


def test_sixteen_bits(tmp_path: Path) -> None:
    rasterio()
    values = np.random.default_rng(0).integers(0, 2**16, (100, 70), np.uint16)
    png = write(tmp_path / 'a.png', values)
    tiff = write_tiff(tmp_path / 'a.tif', np.stack([values] * 3))
    expected = np.repeat((values // 256).astype(np.uint8)[..., None], 3, 2)
    for path, kind in ((png, 'PNG'), (tiff, 'TIFF')):
        message = f'{path}: {kind} with 16-bit samples, .* --high-byte takes'
        with pytest.raises(ImageError, match=message):
            open_rows(path)
        check(path, expected, StripImage, high_byte=True)


def test_images_that_are_no_rgb(tmp_path: Path) -> None:
    path = str(tmp_path / 'p.png')
    Image.fromarray(picture()).quantize().save(path)
    with pytest.raises(ImageError, match='p.png: PNG with a palette, expected 8-bit'):
        open_rows(path)
    rasterio()
    five = write_tiff(tmp_path / 'five.tif', np.zeros((5, 9, 9), np.uint8))
    with pytest.raises(ImageError, match='five.tif: TIFF with 5 channels'):
        open_rows(five)
    real = write_tiff(tmp_path / 'real.tif', np.zeros((3, 9, 9), np.float32))
    with pytest.raises(ImageError, match='real.tif: TIFF with 32-bit samples'):
        open_rows(real, high_byte=True)
    short = write_tiff(tmp_path / 'short.tif', np.zeros((3, 9, 9), np.int16))
    with pytest.raises(ImageError, match='short.tif: int16 samples, expected uint8'):
        open_rows(short, high_byte=True).read(0, 9)


def test_damaged(tmp_path: Path) -> None:
    path = tmp_path / 'a.png'
    data = Path(write(path, picture(3, 100, 70))).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match='a.png: truncated PNG'):
        open_rows(str(path))
    rasterio()
    message = r'a.png: truncated or damaged PNG: rows 0 to 99 cannot be decoded \('
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1  # its checksum does not fit any more
    for damaged in (data[: len(data) // 2], flipped):
        path.write_bytes(damaged)
        rows = open_rows(str(path), whole_pixels=10)
        with pytest.raises(ImageError, match=message):
            rows.read(0, 99)
    path.write_bytes(b'')
    with pytest.raises(ImageError, match='the file is empty'):
        open_rows(str(path))
    path.write_bytes(b'no image at all')
    with pytest.raises(ImageError, match='a.png: not an image'):
        open_rows(str(path))
    with pytest.raises(ImageError, match='b.png: the file cannot be read'):
        open_rows(str(tmp_path / 'b.png'))


def test_header_behind_a_long_preamble(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.jpg', picture(0, 20, 30), icc_profile=bytes(200_000))
    header = read_image_header(path)
    assert (header.width, header.height) == (30, 20)


def test_size_beyond_what_is_decoded_whole(tmp_path: Path) -> None:
    path = str(tmp_path / 'wide.png')
    Image.new('L', (30_000, 10_000)).save(path)  # more than 2^28 pixels
    header = read_image_header(path)
    assert (header.width, header.height) == (30_000, 10_000)
    rasterio()
    rows = open_rows(path)
    assert rows.read(0, 5).shape == (5, 30_000, 3)
    rows.close()


def test_without_rasterio(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / 'a.png', picture(0, 100, 70))
    deep = write(tmp_path / 'b.png', np.zeros((9, 9), np.uint16))
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    check(path, picture(0, 100, 70), WholeImage, whole_pixels=10)
    message = r"b.png: large or 16-bit PNG files .* pip install 's5_mm\[geo\]'"
    with pytest.raises(ImageError, match=message):
        open_rows(deep, high_byte=True)
