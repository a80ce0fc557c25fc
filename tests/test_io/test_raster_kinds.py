"""Rasters as they really are: read as what they show, or refused by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_header, read_image, read_mask
from s5_mm.io.images.rows import open_rows, read_image_header

from ..test_datasets.files import ids, picture
from ..test_datasets.rasters import rasterio, set_tag, write_raster

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')
PIXELS = picture(1, 64, 48)
BANDS = np.ascontiguousarray(PIXELS.transpose(2, 0, 1))
LOSSLESS = dict(driver='JP2OpenJPEG', quality=100, reversible='yes')


def rows(path: str, **options) -> np.ndarray:
    image = open_rows(path, **options)
    pixels = np.concatenate([image.read(0, 20), image.read(20, 64)])
    image.close()
    return pixels


def refused(path: str, message: str) -> None:
    """Every way to read an image refuses it, on one line."""
    for read in (
        lambda: read_image(path, 'drop', 'repeat'),
        lambda: read_image(path, 'drop', 'repeat', (0, 0, 5, 5)),
        lambda: open_rows(path),
    ):
        with pytest.raises(ImageError, match=message) as caught:
            read()
        assert caught.value.path == path
        assert '\n' not in str(caught.value)


# -- greys whose 0 is white ------------------------------------------------------------
def test_min_is_white(tmp_path: Path) -> None:
    path = write_raster(tmp_path / 'a.tif', BANDS[:1], photometric='MINISWHITE')
    shown = 255 - np.repeat(PIXELS[..., :1], 3, 2)
    np.testing.assert_array_equal(read_image(path, grey='repeat'), shown)
    window = read_image(path, grey='repeat', window=(3, 5, 20, 30))
    np.testing.assert_array_equal(window, shown[5:35, 3:23])
    np.testing.assert_array_equal(rows(path), shown)
    # The ids of a mask are what is stored.
    np.testing.assert_array_equal(read_mask(path), PIXELS[..., 0])


def test_min_is_white_in_16_bits(tmp_path: Path) -> None:
    values = BANDS[:1].astype(np.uint16) * 257
    path = write_raster(tmp_path / 'a.tif', values, photometric='MINISWHITE')
    shown = 255 - np.repeat(PIXELS[..., :1], 3, 2)
    np.testing.assert_array_equal(rows(path, high_byte=True), shown)
    got = read_image(path, grey='repeat', sample_range=(0, 65535))
    np.testing.assert_array_equal(got, shown)


def test_min_is_white_of_other_writers(tmp_path: Path) -> None:
    """GDAL gives a palette from white to black to what it did not write itself."""
    grey = PIXELS[..., 0]
    path = str(tmp_path / 'a.tif')
    Image.fromarray(grey).save(path, tiffinfo={262: 0})  # which stores its negative
    np.testing.assert_array_equal(read_image(path, grey='repeat')[..., 0], grey)
    np.testing.assert_array_equal(rows(path)[..., 0], grey)
    tifffile.imwrite(path, grey, photometric='miniswhite')
    np.testing.assert_array_equal(read_image(path, grey='repeat')[..., 0], 255 - grey)
    np.testing.assert_array_equal(read_mask(path), grey)


# -- pages -----------------------------------------------------------------------------
@pytest.mark.parametrize('writer', ['tifffile', 'tifffile series', 'Pillow'])
def test_pages(tmp_path: Path, writer: str) -> None:
    pages, path = np.stack([ids(i, 64, 48) for i in range(5)]), str(tmp_path / 'a.tif')
    if writer == 'tifffile':
        tifffile.imwrite(path, pages)
    elif writer == 'Pillow':
        first, *others = (Image.fromarray(page) for page in pages)
        first.save(path, save_all=True, append_images=others)
    else:
        with tifffile.TiffWriter(path) as file:
            for page in pages:
                file.write(page, metadata=None, contiguous=False)
    refused(path, 'a.tif: TIFF of 5 pages, expected one; stack them into the bands')
    with pytest.raises(ImageError, match='TIFF of 5 pages'):
        read_mask(path)
    with pytest.raises(ImageError, match='TIFF of 5 pages'):
        read_header(path)


def test_overviews_and_masks_are_no_pages(tmp_path: Path) -> None:
    from rasterio.shutil import copy

    path = write_raster(tmp_path / 'a.tif', BANDS)
    valid = np.full((64, 48), 255, np.uint8)
    valid[:10] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, 'r+') as file:
        file.write_mask(valid)
        file.build_overviews([2, 4])
    cog = str(tmp_path / 'cog.tif')
    copy(path, cog, driver='COG', blocksize=128)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 6
    for name in (path, cog):
        np.testing.assert_array_equal(read_image(name), PIXELS)
        np.testing.assert_array_equal(rows(name), PIXELS)


# -- samples ---------------------------------------------------------------------------
def test_16_bits_behind_the_modes_of_pillow(tmp_path: Path) -> None:
    deep = BANDS.astype(np.uint16) * 40
    jp2 = write_raster(tmp_path / 'a.jp2', deep, **LOSSLESS)
    for bits, name in ((16, 'a.ppm'), (12, 'b.ppm')):
        data = deep.transpose(1, 2, 0).clip(0, 2**bits - 1).astype('>u2')
        head = b'P6\n48 64\n%d\n' % (2**bits - 1)
        (tmp_path / name).write_bytes(head + data.tobytes())
        refused(str(tmp_path / name), f'{name}: PPM with {bits}-bit samples, expected')
    refused(jp2, r'a.jp2: JPEG2000 with 16-bit samples, .*sample_range=\(LOW, HIGH\)')
    scaled = np.clip(np.round(deep.transpose(1, 2, 0) * (255 / 10200)), 0, 255)
    for name in (jp2, str(tmp_path / 'a.ppm')):
        got = read_image(name, sample_range=(0, 10200))
        np.testing.assert_array_equal(got, scaled)
    sgi = bytearray(512) + bytes(2 * 3 * 64 * 48)
    sgi[:12] = bytes([1, 218, 0, 2, 0, 3, 0, 48, 0, 64, 0, 3])
    (tmp_path / 'a.sgi').write_bytes(sgi)
    refused(str(tmp_path / 'a.sgi'), 'a.sgi: SGI with 16-bit samples, .*no option')


def test_16_bits_without_rasterio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow alone opens JPEG 2000 then, and hides what it cuts off."""
    good = str(tmp_path / 'a.jp2')
    Image.fromarray(PIXELS).save(good)
    deep = write_raster(tmp_path / 'b.jp2', BANDS[:1].astype(np.uint16), **LOSSLESS)
    find = importlib.util.find_spec
    hidden = lambda name: None if name == 'rasterio' else find(name)  # noqa: E731
    monkeypatch.setattr('s5_mm.io.images.raster.find_spec', hidden)
    np.testing.assert_array_equal(read_image(good), PIXELS)
    with pytest.raises(ImageError, match='JPEG2000 with 16-bit samples'):
        read_image(deep, grey='repeat')


@pytest.mark.parametrize('bits', [1, 4, 12])
def test_odd_bits_of_a_tiff(tmp_path: Path, bits: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (1, 64, 48))
    values = values.astype(np.uint8 if bits < 9 else np.uint16)
    path = write_raster(tmp_path / 'a.tif', values, nbits=bits)
    if bits == 1:  # GDAL gives it a palette
        refused(path, 'TIFF with a palette, expected 8-bit RGB')
    else:
        refused(path, f'TIFF with {bits}-bit samples, expected 8-bit RGB')
    if bits == 12:
        match = r'sample_range=\(0, 4095\) of s5_mm.LoadImage'
        with pytest.raises(ImageError, match=match):
            read_image(path, grey='repeat')
        with pytest.raises(ImageError, match='--sample-range 0 4095'):
            open_rows(path, high_byte=True)
    else:
        np.testing.assert_array_equal(read_mask(path), values[0])


# -- colours ---------------------------------------------------------------------------
def test_whole_jpeg_2000_of_three_plain_bands(tmp_path: Path) -> None:
    for suffix, codec in (('.jp2', 'JP2'), ('.j2k', 'J2K')):
        path = write_raster(tmp_path / f'a{suffix}', BANDS, codec=codec, **LOSSLESS)
        np.testing.assert_array_equal(read_image(path), PIXELS)
        np.testing.assert_array_equal(rows(path), PIXELS)
        assert read_image_header(path)[:5] == ('JPEG2000', 48, 64, 3, 8)
    path = write_raster(tmp_path / 'grey.jp2', BANDS[:1], **LOSSLESS)
    np.testing.assert_array_equal(read_mask(path), PIXELS[..., 0])


def test_four_bands_of_jpeg_2000_are_no_rgba(tmp_path: Path) -> None:
    four = np.concatenate([BANDS, BANDS[:1]])
    path = write_raster(tmp_path / 'a.jp2', four, **LOSSLESS)
    refused(path, '4 channels, expected 8-bit RGB; .* gdal_translate -b 1 -b 2 -b 3')
    # One that declares its alpha is what it says.
    rgba = Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]))
    rgba.save(tmp_path / 'b.jp2')
    got = read_image(str(tmp_path / 'b.jp2'), alpha='drop')
    np.testing.assert_array_equal(got, PIXELS)


@pytest.mark.parametrize('mode', ['CMYK', 'LAB'])
def test_colours_that_gdal_would_turn_into_rgba(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(PIXELS).convert('CMYK')
    image = image if mode == 'CMYK' else Image.new('LAB', (48, 64), (100, 128, 128))
    image.save(tmp_path / 'a.tif')
    space = 'CIELAB' if mode == 'LAB' else mode
    refused(str(tmp_path / 'a.tif'), f'TIFF with {space} colours, expected 8-bit RGB')


def test_layouts_that_are_read(tmp_path: Path) -> None:
    profiles = {
        'planar': dict(interleave='band'),
        'tiled': dict(tiled=True, blockxsize=16, blockysize=16, compress='deflate'),
        'big': dict(bigtiff='yes'),
        'lzma': dict(compress='lzma'),
    }
    for name, profile in profiles.items():
        path = write_raster(tmp_path / f'{name}.tif', BANDS, **profile)
        np.testing.assert_array_equal(read_image(path), PIXELS, name)
        np.testing.assert_array_equal(rows(path), PIXELS, name)
    smooth = np.linspace(0, 255, BANDS.size).reshape(BANDS.shape).astype(np.uint8)
    path = write_raster(
        tmp_path / 'a.tif', smooth, photometric='YCBCR', compress='jpeg', quality=95
    )
    got = read_image(path).transpose(2, 0, 1).astype(int)
    assert abs(got - smooth).max() <= 8
    Image.fromarray(PIXELS).convert('LA').save(tmp_path / 'la.tif')
    got = read_image(str(tmp_path / 'la.tif'), 'drop', 'repeat')
    grey = np.array(Image.fromarray(PIXELS).convert('L'))
    np.testing.assert_array_equal(got, np.dstack([grey] * 3))


@pytest.mark.parametrize(('code', 'codec'), [(34712, 'JP2000'), (99, 'of code 99')])
def test_codec_that_is_missing(tmp_path: Path, code: int, codec: str) -> None:
    path = write_raster(tmp_path / 'a.tif', BANDS, compress='deflate')
    set_tag(path, 259, code)
    refused(path, rf'compressed with a codec \({codec}\) that GDAL .* lacks; .*DEFLATE')


def test_frames_of_other_formats(tmp_path: Path) -> None:
    first, second = (Image.fromarray(picture(i, 64, 48)) for i in (1, 2))
    path = str(tmp_path / 'a.webp')
    first.save(path, save_all=True, append_images=[second], lossless=True)
    refused(path, 'a.webp: WEBP of 2 frames, expected one image')
