"""Images that GDAL finds: mosaics, archives, addresses; and what is no data set."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from s5_mm.datasets import UnlabelledDataset
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_header, read_image, read_mask
from s5_mm.io.images.rows import open_rows

from ..test_datasets.files import UNLABELLED, ids, picture
from ..test_datasets.rasters import rasterio, write_raster

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')
PIXELS = picture(1, 64, 48)
BANDS = np.ascontiguousarray(PIXELS.transpose(2, 0, 1))
SOURCE = '<SourceFilename relativeToVRT="1">a.tif</SourceFilename>'


def vrt(path: Path, source: str = SOURCE, extra: str = '', bands: int = 3) -> str:
    """Write a VRT of the bands of a file."""
    colours = ('Red', 'Green', 'Blue') if bands == 3 else ('Gray',)
    parts = (
        f'<VRTRasterBand dataType="Byte" band="{band}">{extra}<ColorInterp>{colour}'
        f'</ColorInterp><SimpleSource>{source}<SourceBand>{band}</SourceBand>'
        '</SimpleSource></VRTRasterBand>'
        for band, colour in enumerate(colours, 1)
    )
    size = 'rasterXSize="48" rasterYSize="64"'
    path.write_text(f'<VRTDataset {size}>{"".join(parts)}</VRTDataset>')
    return str(path)


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('world')
    write_raster(folder / 'a.tif', BANDS)
    vrt(folder / 'a.vrt')
    with zipfile.ZipFile(folder / 'a.zip', 'w') as archive:
        archive.write(folder / 'a.tif', 'in/a.tif')
    return folder


@pytest.fixture(scope='module')
def server(world: Path) -> Iterator[str]:
    """Serve the folder from a process of its own, as GDAL reads with the GIL held."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'http.server', str(port), '-b', '127.0.0.1']
    process = subprocess.Popen([*command, '-d', str(world)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    break
            time.sleep(0.05)
        yield f'http://127.0.0.1:{port}'
    finally:
        process.kill()
        process.wait()


def check(name: str) -> None:
    np.testing.assert_array_equal(read_image(name), PIXELS)
    window = read_image(name, window=(5, 7, 30, 20))
    np.testing.assert_array_equal(window, PIXELS[7:27, 5:35])
    assert read_header(name)[1:4] == (48, 64, 3)
    rows = open_rows(name)
    np.testing.assert_array_equal(rows.read(0, 64), PIXELS)
    rows.close()


def refused(name: str, message: str) -> None:
    for read in (read_image, read_mask, read_header, open_rows):
        with pytest.raises(ImageError, match=message) as caught:
            read(name)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'name',
    [
        '{world}/a.vrt',
        'zip+file://{world}/a.zip!in/a.tif',
        'zip://{world}/a.zip!in/a.tif',
        '/vsizip/{world}/a.zip/in/a.tif',
        'file://{world}/a.tif',
    ],
)
def test_names_of_gdal(world: Path, name: str) -> None:
    check(name.format(world=world))


def test_addresses_in_the_network(
    world: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    check(f'{server}/a.tif')
    check(f'/vsicurl/{server}/a.tif')
    check(f'{server}/a.vrt')  # which may name its neighbours
    refused(f'{server}/none.tif', r'none.tif: cannot be opened \(HTTP .*404\)')
    # A list of a data set may mix them with names of files.
    (world / 'list.txt').write_text(f'{server}/a.tif\na.tif\n')
    dataset = UnlabelledDataset(str(world), ann_file='list.txt', pipeline=UNLABELLED)
    remote, local = dataset.paths
    assert (remote, local) == (f'{server}/a.tif', f'{world}/a.tif')
    assert 'replaced' not in dataset[0]['data_samples']


def test_masks_in_a_vrt(world: Path) -> None:
    mask = ids(3, 64, 48)
    write_raster(world / 'mask.tif', mask[None])
    path = vrt(world / 'mask.vrt', SOURCE.replace('a.tif', 'mask.tif'), bands=1)
    np.testing.assert_array_equal(read_mask(path), mask)


def test_what_gdal_does_not_read_is_one_line(world: Path) -> None:
    refused('foo://a/b.tif', r'foo://a/b.tif: cannot be opened \(')
    refused(f'/vsizip/{world}/a.zip/none.tif', r'none.tif: cannot be opened \(')
    (world / 'noise.img').write_bytes(bytes(range(1, 200)))
    refused(str(world / 'noise.img'), 'noise.img: not an image: it starts with b')
    (world / 'half.vrt').write_text('<VRTDataset rasterXSize="48">')
    refused(str(world / 'half.vrt'), 'half.vrt: damaged VRT: it cannot be opened')
    gone = vrt(world / 'gone.vrt', SOURCE.replace('a.tif', 'gone.tif'))
    with pytest.raises(ImageError, match=r'damaged VRT \(.*gone.tif: No such file'):
        read_image(gone)
    # Texts that lead GDAL to services are no images.
    for text in ('<GDAL_WMS></GDAL_WMS>', '{"type": "FeatureCollection"}'):
        (world / 'service.tif').write_text(text)
        refused(str(world / 'service.tif'), 'service.tif: not an image: it starts with')


# -- a VRT is data: the files of a data set, nothing else ------------------------------
@pytest.mark.parametrize(
    'name',
    [
        'https://example.invalid/a.tif',
        '/vsicurl/https://example.invalid/a.tif',
        '/vsizip//vsis3/bucket/a.zip/a.tif',
        '/vsis3_streaming/bucket/a.tif',
        '&lt;VRTDataset&gt;',
    ],
)
@pytest.mark.parametrize('nested', [False, True])
def test_vrt_of_the_network(world: Path, name: str, nested: bool) -> None:
    path = vrt(world / 'far.vrt', f'<SourceFilename>{name}</SourceFilename>')
    if nested:
        path = vrt(world / 'outer.vrt', SOURCE.replace('a.tif', 'far.vrt'))
    where = r' \(through .*far.vrt\)' if nested else ''
    refused(path, rf"VRT of '.*'{where}, expected files on this machine; write its")


def test_vrt_with_python(world: Path) -> None:
    extra = '<PixelFunctionType>f</PixelFunctionType>'
    extra += '<PixelFunctionLanguage>Python</PixelFunctionLanguage>'
    path = Path(vrt(world / 'python.vrt', extra=extra))
    text = path.read_text().replace(
        '<VRTRasterBand ', '<VRTRasterBand subClass="VRTDerivedRasterBand" '
    )
    path.write_text(text)
    refused(str(path), 'VRT with a pixel function in Python, expected sources alone')


def test_mosaics_of_mosaics(world: Path) -> None:
    check(vrt(world / 'outer.vrt', SOURCE.replace('a.tif', 'a.vrt')))
    assert rasterio.open(world / 'outer.vrt').driver == 'VRT'
