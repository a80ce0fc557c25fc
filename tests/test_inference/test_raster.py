"""Labels of a raster lie where its pixels lie, and appear whole or not at all."""

import json
import os
import resource
import signal
import time
import warnings

import cv2
import numpy as np
import pytest
import torch

from s5_mm.inference import WindowNetwork, segment_raster
from s5_mm.io.images.header import ImageError

from .rasters import CLASSES, GRID, PALETTE, PROTOCOL, draw_pixels, write_tiff

rasterio = pytest.importorskip('rasterio')
GroundControlPoint = pytest.importorskip('rasterio.control').GroundControlPoint


def _network(delay=0.0):
    """Labels are the third of the range in which the red channel is."""

    def predict(images, metas):
        time.sleep(delay)
        centres = torch.tensor([40.0, 128.0, 215.0]).reshape(1, 3, 1, 1)
        return -(images[:, :1] - centres).abs()

    return WindowNetwork(predict, lambda x: x.float(), PROTOCOL, 0.3, CLASSES, PALETTE)


def _want(pixels):
    distance = np.abs(pixels[..., :1].astype(float) - [40, 128, 215])
    return distance.argmin(-1)


def test_georeference_palette_and_tiles(tmp_path):
    pixels, shown = draw_pixels(), []
    source = write_tiff(tmp_path / 'in.tif', pixels, tiled=True, **GRID)
    out = tmp_path / 'deep' / 'out.tif'
    segment_raster(_network(), source, str(out), progress=lambda *a: shown.append(a))
    with rasterio.open(out) as file:
        assert file.crs == GRID['crs']
        assert file.transform == GRID['transform']
        assert file.dtypes == ('uint8',)
        assert (file.count, file.nodata) == (1, 255)
        assert file.block_shapes == [(512, 512)]
        assert file.compression.name == 'deflate'
        colours = file.colormap(1)
        assert [list(colours[i][:3]) for i in range(3)] == PALETTE
        assert tuple(json.loads(file.tags(1)['classes'])) == CLASSES
        np.testing.assert_array_equal(file.read(1), _want(pixels))
    assert shown[-1] == (15 * 11, 15 * 11)
    assert shown == sorted(shown)
    assert os.listdir(out.parent) == ['out.tif']


def test_ground_control_points(tmp_path):
    points = [
        GroundControlPoint(row, col, x=col * 2.0, y=row * 3.0)
        for row, col in ((0, 0), (0, 60), (60, 0))
    ]
    source = str(tmp_path / 'in.tif')
    profile = dict(driver='GTiff', dtype='uint8', count=3, height=70, width=80)
    with rasterio.open(source, 'w', **profile) as file:
        file.write(draw_pixels(70, 80).transpose(2, 0, 1))
        file.gcps = (points, 'EPSG:4326')
    segment_raster(_network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        got, system = file.gcps
        assert system == 'EPSG:4326'
        assert [(p.row, p.col, p.x, p.y) for p in got] == [
            (p.row, p.col, p.x, p.y) for p in points
        ]


@pytest.mark.parametrize('kind', ['png', 'jpg', 'grey.png'])
def test_images_without_coordinates(tmp_path, kind):
    source = str(tmp_path / f'in.{kind}')
    pixels = np.full((40, 300, 3), 20, np.uint8)
    pixels[:, 100:200], pixels[:, 200:] = 130, 230
    cv2.imwrite(source, pixels[..., 0] if 'grey' in kind else pixels)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of rasterio, that it has no coordinates
        segment_raster(_network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert file.crs is None
        assert file.transform.is_identity
        got = file.read(1)
    assert (got[:, 5:95] == 0).all()
    assert (got[:, 105:195] == 1).all()
    assert (got[:, 205:] == 2).all()


@pytest.mark.parametrize('kind', ['nodata', 'alpha.tif', 'alpha.png'])
def test_pixels_without_data(tmp_path, kind):
    pixels = draw_pixels(90, 100, 3)
    pixels[pixels == 7] = 8
    hole = np.zeros((90, 100), bool)
    hole[10:80, 20:50] = True
    pixels[hole] = 7
    source = str(tmp_path / 'in')
    if kind == 'nodata':
        write_tiff(source, pixels, nodata=7, **GRID)
    else:
        four = np.dstack([pixels, np.where(hole, 0, 255).astype(np.uint8)])
        if kind == 'alpha.tif':
            write_tiff(source, four, photometric='RGB', alpha='yes', **GRID)
        else:
            cv2.imwrite(source + '.png', four[..., [2, 1, 0, 3]])
            source += '.png'
    segment_raster(_network(), source, str(tmp_path / 'out.tif'))
    with rasterio.open(tmp_path / 'out.tif') as file:
        got = file.read(1)
    np.testing.assert_array_equal(got == 255, hole)
    np.testing.assert_array_equal(got[~hole], _want(pixels)[~hole])


# -- what goes wrong ------------------------------------------------------------------
def test_killed_writer_leaves_the_old_file(tmp_path):
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(2000, 80))
    out = tmp_path / 'out.tif'
    out.write_bytes(b'old')
    child = os.fork()
    if not child:
        try:
            segment_raster(_network(delay=0.2), source, str(out))
        finally:
            os._exit(0)
    while not list(tmp_path.glob('out.tif.tmp-*')):
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert out.read_bytes() == b'old'
    segment_raster(_network(), source, str(out))
    with rasterio.open(out) as file:
        assert file.shape == (2000, 80)


def test_full_disk_leaves_the_old_file(tmp_path):
    source = write_tiff(tmp_path / 'in.tif', draw_pixels(1100, 530))
    out = tmp_path / 'out.tif'
    out.write_bytes(b'old')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(OSError, match=r'out\.tif: .*(written|disk)'):
            segment_raster(_network(), source, str(out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(os.listdir(tmp_path)) == ['in.tif', 'out.tif']
    assert out.read_bytes() == b'old'


def test_input_that_cannot_be_used(tmp_path):
    good = write_tiff(tmp_path / 'in.tif', draw_pixels(90, 80), **GRID)
    out = str(tmp_path / 'out.tif')
    with pytest.raises(ImageError, match=r'in\.tif: is the output too'):
        segment_raster(_network(), good, good)
    with pytest.raises(ImageError, match=r'absent\.tif: the file cannot be read'):
        segment_raster(_network(), str(tmp_path / 'absent.tif'), out)
    with pytest.raises(IsADirectoryError, match='is a folder; expected the name of a'):
        segment_raster(_network(), good, str(tmp_path))
    bands = write_tiff(tmp_path / 'five.tif', draw_pixels(40, 40, 5), photometric='RGB')
    with pytest.raises(ImageError, match=r'five\.tif: .*channels'):
        segment_raster(_network(), bands, out)
    wide = write_tiff(
        tmp_path / 'wide.tif', draw_pixels(40, 40).astype(np.uint16) * 257
    )
    with pytest.raises(ImageError, match=r'wide\.tif: .*16-bit.*--high-byte'):
        segment_raster(_network(), wide, out)
    segment_raster(_network(), wide, out, high_byte=True)
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), _want(draw_pixels(40, 40)))
    cut = tmp_path / 'cut.tif'
    write_tiff(cut, draw_pixels(900, 300))
    cut.write_bytes(cut.read_bytes()[:500_000])
    os.unlink(out)
    with pytest.raises(ImageError, match=r'cut\.tif: truncated or damaged'):
        segment_raster(_network(), str(cut), out)
    assert not os.path.exists(out)
    assert not list(tmp_path.glob('*.tmp-*'))
