"""The file of labels and what belongs to it: sidecars, CRS, palette, cache, no data."""

from __future__ import annotations

import json
import logging
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from s5_mm.inference import WindowNetwork, segment_raster
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.raster import CACHE, block_cache
from s5_mm.io.images.sidecars import remove_sidecars
from s5_mm.visualization import categorical_palette

from .rasters import CLASSES, GRID, PROTOCOL, draw_pixels, write_tiff

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('rasterio.shutil')
env = pytest.importorskip('rasterio.env')
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')
ROTATED_POLE = '+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18'


def cache() -> int:
    return env.get_gdal_config('GDAL_CACHEMAX')


def network(sample_range=None, seen=None, classes=CLASSES):
    """Labels are the third of the range in which the red channel is."""

    def predict(images, metas):
        if seen is not None:
            seen.append(cache())
        centres = torch.tensor([40.0, 128.0, 215.0]).reshape(1, 3, 1, 1)
        return -(images[:, :1] - centres).abs()

    colours = categorical_palette(len(classes))
    args = (predict, lambda x: x.float(), PROTOCOL, 0.3, classes, colours)
    return WindowNetwork(*args, sample_range)


def labels_of(red):
    return np.abs(np.round(red)[..., None] - [40.0, 128.0, 215.0]).argmin(-1)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    logged: list[tuple[str, int]] = []
    monkeypatch.setattr(
        sys.modules[segment_raster.__module__],
        'print_log',
        lambda text, logger, level: logged.append((text, level)),
    )
    return logged


# -- sidecars --------------------------------------------------------------------------
def test_sidecars_of_the_old_file_go(tmp_path: Path) -> None:
    out = tmp_path / 'out.tif'
    old = np.full((700, 530, 1), 2, np.uint8)
    write_tiff(out, old, **GRID)
    outside = dict(TIFF_USE_OVR=True, GDAL_TIFF_INTERNAL_MASK=False)
    with rasterio.Env(**outside), rasterio.open(out, 'r+') as file:
        file.build_overviews([2, 4])
        file.write_mask(np.zeros((700, 530), np.uint8))
    (tmp_path / 'out.tif.aux.xml').write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>0</NoDataValue>'
        '</PAMRasterBand></PAMDataset>'
    )
    (tmp_path / 'out.tfw').write_text('9\n0\n0\n-9\n0\n0\n')
    (tmp_path / 'other.tif.ovr').write_text('of another file')
    assert {'out.tif.ovr', 'out.tif.msk'} < set(os.listdir(tmp_path))
    pixels = draw_pixels()
    segment_raster(network(), write_tiff(tmp_path / 'in.tif', pixels), str(out))
    left = ['in.tif', 'other.tif.ovr', 'out.tif']
    assert sorted(os.listdir(tmp_path)) == left
    with rasterio.open(out) as file:
        assert file.nodata == 255
        assert file.overviews(1) == []
        assert file.transform.is_identity
        assert (file.dataset_mask() == 255).all()
        np.testing.assert_array_equal(file.read(1), labels_of(pixels[..., 0]))


def test_sidecars_stay_with_the_old_file_where_the_new_one_fails(
    tmp_path: Path,
) -> None:
    out = tmp_path / 'out.tif'
    out.write_bytes(b'old')
    (tmp_path / 'out.tif.ovr').write_bytes(b'old')
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(900, 300))
    Path(source).write_bytes(Path(source).read_bytes()[:500_000])
    with pytest.raises(ImageError, match='truncated or damaged'):
        segment_raster(network(), source, str(out))
    assert sorted(os.listdir(tmp_path)) == ['in.tif', 'out.tif', 'out.tif.ovr']


def test_names_of_sidecars(tmp_path: Path) -> None:
    gone = ['a.tif.aux.xml', 'a.tif.ovr', 'a.tif.msk', 'a.tif.msk.ovr', 'a.tfw']
    kept = ['a.tif', 'a.tif.txt', 'a.png.aux.xml', 'b.tfw', 'a.wld']
    for name in (*gone, *kept):
        (tmp_path / name).write_text('')
    remove_sidecars(tmp_path / 'a.tif')
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    remove_sidecars(tmp_path / 'none')


# -- coordinates -----------------------------------------------------------------------
def test_crs_that_geotiff_cannot_hold(tmp_path: Path) -> None:
    grid = dict(crs=ROTATED_POLE, transform=GRID['transform'])
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(90, 80), **grid)
    out = str(tmp_path / 'out.tif')
    for _ in range(2):  # the second time there is a sidecar to replace
        segment_raster(network(), source, out)
        with rasterio.open(source) as one, rasterio.open(out) as two:
            assert two.crs == one.crs
            assert two.crs is not None
        names = ['in.tif', 'in.tif.aux.xml', 'out.tif', 'out.tif.aux.xml']
        assert sorted(os.listdir(tmp_path)) == names


def test_crs_that_nothing_can_hold(tmp_path: Path) -> None:
    write_tiff(tmp_path / 'in.tif', draw_pixels(90, 80), **GRID)
    rasterio.shutil.copy(
        str(tmp_path / 'in.tif'), str(tmp_path / 'in.vrt'), driver='VRT'
    )
    text = (tmp_path / 'in.vrt').read_text()
    start, end = text.index('<SRS'), text.index('</SRS>')
    text = f'{text[:start]}<SRS>{ROTATED_POLE} +type=crs{text[end:]}'
    (tmp_path / 'in.vrt').write_text(text)
    source, out = str(tmp_path / 'in.vrt'), str(tmp_path / 'out.tif')
    message = r'out.tif: GeoTIFF cannot hold the CRS of .*in.vrt, GEOG.*gdalwarp -t_srs'
    with (
        rasterio.Env(GDAL_PAM_ENABLED=False),
        pytest.raises(OSError, match=message) as caught,
    ):
        segment_raster(network(), source, out)
    assert '\n' not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ['in.tif', 'in.vrt']


def test_other_endings_than_tif_are_named(tmp_path: Path, warnings: list) -> None:
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(60, 60), **GRID)
    for name in ('labels.TIF', 'labels.tiff', 'labels.png'):
        segment_raster(network(), source, str(tmp_path / name))
    out = tmp_path / 'labels.png'
    text = f'{out}: becomes a GeoTIFF, which programs look for under .tif'
    assert warnings == [(text, logging.WARNING)]
    with rasterio.open(out) as file:
        assert file.driver == 'GTiff'


# -- palette ---------------------------------------------------------------------------
def test_palette_is_there_always_and_overviews_hold_ids(tmp_path: Path) -> None:
    pixels = draw_pixels()
    source = write_tiff(tmp_path / 'in.tif', pixels, **GRID)
    segment_raster(network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        colours = [list(file.colormap(1)[i][:3]) for i in range(3)]
        assert colours == categorical_palette(3)
        assert file.colormap(1)[255] == (0, 0, 0, 0)
        assert json.loads(file.tags(1)['classes']) == list(CLASSES)
    # 255 is no data, so CUBIC would make ids between 0 and 2 of 0 and 2.
    striped = np.zeros((700, 530, 3), np.uint8)
    striped[:, ::3] = 215
    source = write_tiff(tmp_path / 'striped.tif', striped, **GRID)
    segment_raster(network(), source, str(tmp_path / 'out.tif'))
    out, cog = str(tmp_path / 'out.tif'), str(tmp_path / 'cog.tif')
    rasterio.shutil.copy(out, cog, driver='COG')
    with rasterio.open(tmp_path / 'cog.tif', overview_level=0) as file:
        assert set(np.unique(file.read(1))) == {0, 2}


# -- the cache of blocks ---------------------------------------------------------------
def test_cache_is_counted_in_bytes_and_given_back(tmp_path: Path) -> None:
    before = cache()
    assert before != CACHE == 64 * 2**20
    with block_cache():
        assert cache() == CACHE
    assert cache() == before
    with rasterio.Env():
        with block_cache(2**20):
            assert cache() == 2**20
        assert cache() == before
    with rasterio.Env(GDAL_CACHEMAX=50 * 2**20):
        with block_cache():
            assert cache() == CACHE
        assert cache() == 50 * 2**20
    env.set_gdal_config('GDAL_CACHEMAX', before)
    pixels = draw_pixels(1100, 530)
    source = write_tiff(tmp_path / 'in.tif', pixels, nodata=7, tiled=True)
    seen: list[int] = []
    with rasterio.Env():
        segment_raster(network(seen=seen), source, str(tmp_path / 'out.tif'))
        assert cache() == before
    assert set(seen) == {before}
    assert cache() == before


# -- pixels without data ---------------------------------------------------------------
def four_bands(path: Path, fourth: np.ndarray, **profile) -> str:
    return write_tiff(path, np.dstack([draw_pixels(90, 80), fourth]), **profile)


def test_alpha_that_is_infrared(tmp_path: Path, warnings: list) -> None:
    infrared = np.random.default_rng(1).integers(0, 256, (90, 80), np.uint8)
    infrared[:20] = 0
    source = four_bands(tmp_path / 'in.tif', infrared, **GRID)  # no photometric
    out = str(tmp_path / 'out.tif')
    segment_raster(network(), source, out)
    want = labels_of(draw_pixels(90, 80)[..., 0])
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1) == 255, infrared == 0)
    ((text, level),) = warnings
    assert level == logging.WARNING
    assert text.startswith(f'{source}: band 4 is declared as alpha, but ')
    assert text.endswith('--ignore-alpha takes all pixels for data')
    segment_raster(network(), source, out, ignore_alpha=True)
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), want)
    assert len(warnings) == 1


def test_alpha_of_two_values_is_no_warning(tmp_path: Path, warnings: list) -> None:
    alpha = np.full((90, 80), 255, np.uint8)
    alpha[:20] = 0
    source = four_bands(tmp_path / 'in.tif', alpha, **GRID)
    segment_raster(network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        np.testing.assert_array_equal(file.read(1) == 255, alpha == 0)
    assert warnings == []


@pytest.mark.parametrize('kind', ['value', 'mask'])
def test_ignored_alpha_keeps_other_kinds_of_no_data(tmp_path: Path, kind: str) -> None:
    hole = np.zeros((90, 80), bool)
    hole[30:40] = True
    pixels = draw_pixels(90, 80)
    pixels[pixels == 7] = 8
    pixels[hole] = 7
    four = np.dstack([pixels, np.zeros((90, 80), np.uint8)])
    nodata = dict(nodata=7) if kind == 'value' else {}
    source = write_tiff(tmp_path / 'in.tif', four, **GRID, **nodata)
    if kind == 'mask':
        with rasterio.open(source, 'r+') as file:
            file.write_mask(np.where(hole, 0, 255).astype(np.uint8))
    out = str(tmp_path / 'out.tif')
    segment_raster(network(), source, out, ignore_alpha=True)
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1) == 255, hole)


# -- samples and names -----------------------------------------------------------------
def test_range_of_the_network_and_of_the_caller(tmp_path: Path) -> None:
    deep = draw_pixels(90, 80).astype(np.uint16) * 8
    source = write_tiff(tmp_path / 'in.tif', deep, **GRID)
    out = str(tmp_path / 'out.tif')

    def got(*args, **options):
        segment_raster(network(*args), source, out, **options)
        with rasterio.open(out) as file:
            return file.read(1)

    want = labels_of(deep[..., 0] / 2047 * 255)
    np.testing.assert_array_equal(got((0, 2047)), want)
    np.testing.assert_array_equal(got(sample_range=(0, 2047)), want)
    half = labels_of(deep[..., 0] / 4095 * 255)
    np.testing.assert_array_equal(got((0, 2047), sample_range=[0, 4095]), half)
    with pytest.raises(ImageError, match='high byte leaves 0 to 7; .* 0 2047 of tools'):
        got(high_byte=True)
    with pytest.raises(ValueError, match='two ways to scale the same samples'):
        got(high_byte=True, sample_range=(0, 2047))
    with pytest.raises(ValueError, match='segment_raster: sample_range='):
        got(sample_range=(9, 3))


def test_image_in_an_archive(tmp_path: Path) -> None:
    pixels = draw_pixels(90, 80)
    write_tiff(tmp_path / 'in.tif', pixels, **GRID)
    with zipfile.ZipFile(tmp_path / 'in.zip', 'w') as archive:
        archive.write(tmp_path / 'in.tif', 'in.tif')
    out = tmp_path / 'out.tif'
    for _ in range(2):  # also where there is a file to compare with
        segment_raster(network(), f'zip+file://{tmp_path}/in.zip!in.tif', str(out))
    with rasterio.open(out) as file:
        assert file.crs == GRID['crs']
        np.testing.assert_array_equal(file.read(1), labels_of(pixels[..., 0]))
