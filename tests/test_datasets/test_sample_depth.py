"""Images of more than 8 bits: the range that is given, and what a high byte leaves."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from s5_mm.datasets import LoadImage
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.rows import open_rows
from s5_mm.io.images.sample_depth import check_range
from s5_mm.io.images.source import ImageFile, ImageWindow

from .files import picture, write
from .rasters import rasterio, write_raster

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


def deep(low: int, high: int, bands: int = 3) -> np.ndarray:
    """Draw samples of a range, both ends among them: uint16 (bands, 600, 40)."""
    values = np.random.default_rng(0).integers(low, high, (bands, 600, 40), np.uint16)
    values[:, -1, -2:] = low, high  # at the very end
    return values


def load(path: str, **options) -> np.ndarray:
    return LoadImage('drop', 'repeat', **options).transform({'img_path': path})['img']


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is logged."""
    logged: list[tuple[str, int]] = []
    for module in ('io.images.sample_depth', 'datasets.transforms.load_images'):
        monkeypatch.setattr(
            f's5_mm.{module}.print_log',
            lambda text, logger, level: logged.append((text, level)),
        )
    return logged


# -- the high byte ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ('low', 'high', 'ends'),
    [(0, 2047, '0 2047'), (1, 1848, '0 2047'), (0, 4095, '0 4095'),
     (30000, 32000, '30000 32000')],
)  # fmt: skip
def test_high_byte_of_few_bits_is_refused(
    tmp_path: Path, low: int, high: int, ends: str
) -> None:
    path = write_raster(tmp_path / 'a.tif', deep(low, high))
    message = (
        f'a.tif: its 16-bit samples are {low} to {high}, of which the high byte leaves '
        f'{low >> 8} to {high >> 8}; .*--sample-range {ends} of .*-scale {ends} 0 255'
    )
    with pytest.raises(ImageError, match=message) as caught:
        open_rows(path, high_byte=True)
    assert '\n' not in str(caught.value)


def test_high_byte_of_a_part_of_the_range_is_a_warning(
    tmp_path: Path, warnings: list
) -> None:
    values = deep(0, 10200)
    path = write_raster(tmp_path / 'a.tif', values)
    got = open_rows(path, high_byte=True).read(0, 600)
    np.testing.assert_array_equal(got, (values >> 8).transpose(1, 2, 0))
    ((text, level),) = warnings
    assert level == logging.WARNING
    assert 'are 0 to 10200, of which the high byte leaves 0 to 39;' in text
    assert '--sample-range 0 16383 of tools/segment_raster.py' in text
    open_rows(path, high_byte=True)  # once for a folder
    assert len(warnings) == 1
    # No-data counts for nothing, and samples that span the bits for no warning.
    for folder in ('b', 'c'):
        (tmp_path / folder).mkdir()
    holes = np.where(values, values, 65535)
    path = write_raster(tmp_path / 'b/b.tif', holes, nodata=65535)
    open_rows(path, high_byte=True)
    assert warnings[1][0].startswith(f'{path}: its 16-bit samples are 1 to 10200')
    open_rows(write_raster(tmp_path / 'c/c.tif', deep(0, 40000)), high_byte=True)
    eight = write_raster(tmp_path / 'c/d.tif', values.astype(np.uint8))
    open_rows(eight, high_byte=True)
    assert len(warnings) == 2


def test_high_byte_of_empty_and_plain_images(tmp_path: Path, warnings: list) -> None:
    values = np.full((3, 9, 9), 700, np.uint16)
    for nodata in (700, None):
        path = write_raster(tmp_path / 'a.tif', values, nodata=nodata)
        assert (open_rows(path, high_byte=True).read(0, 9) == 2).all()
    assert warnings == []


# -- a range ---------------------------------------------------------------------------
@pytest.mark.parametrize('kind', ['tif', 'png', 'grey.png'])
def test_range_is_the_same_in_training_and_inference(tmp_path: Path, kind: str) -> None:
    values = deep(0, 4095, 1 if 'grey' in kind else 3)
    path = str(tmp_path / f'a.{kind}')
    driver = 'PNG' if 'png' in kind else 'GTiff'
    write_raster(Path(path), values, driver)
    ends = (100, 2147)
    want = np.clip(np.round((values.astype(float) - 100) / 2047 * 255), 0, 255)
    want = np.broadcast_to(want, (3, 600, 40)).transpose(1, 2, 0)
    np.testing.assert_array_equal(load(path, sample_range=ends), want)
    rows = open_rows(path, sample_range=ends)
    got = np.concatenate([rows.read(0, 300), rows.read(300, 600)])
    np.testing.assert_array_equal(got, want)
    with pytest.raises(ImageError, match=r'16-bit.*sample_range=\(LOW, HIGH\) of'):
        load(path)
    with pytest.raises(ImageError, match='16-bit.*--sample-range LOW HIGH of'):
        open_rows(path)


def test_range_leaves_8_bits_alone(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.png', picture())
    np.testing.assert_array_equal(load(path, sample_range=(0, 2047)), picture())
    np.testing.assert_array_equal(
        open_rows(path, sample_range=(0, 2047)).read(0, 32), picture()
    )


def test_range_needs_unsigned_samples(tmp_path: Path) -> None:
    path = write_raster(tmp_path / 'a.tif', np.zeros((3, 9, 9), np.int16))
    with pytest.raises(ImageError, match='int16 samples, expected uint8'):
        load(path, sample_range=(0, 2047))


def test_ranges_that_are_none() -> None:
    assert check_range(None, 'x') is None
    assert check_range([0, 2047], 'x') == (0, 2047)
    for wrong in ((0,), (5, 5), (-1, 9), (0, 65536), (0, 10.5), (0, 1, 2)):
        with pytest.raises(ValueError, match=r'LoadImage: sample_range=.*two integers'):
            LoadImage(sample_range=wrong)
    assert repr(LoadImage(sample_range=(0, 9))).endswith(', sample_range=(0, 9))')


# -- pixels without data ---------------------------------------------------------------
@pytest.mark.parametrize(
    'kind', ['value', 'mask', 'alpha.tif', 'alpha.png', 'colour', 'la', 'webp']
)
def test_pixels_without_data_are_named_once(
    tmp_path: Path, warnings: list, kind: str
) -> None:
    pixels = picture(1, 40, 50)
    pixels[pixels == 7] = 8
    pixels[:10] = 7
    bands, hole = pixels.transpose(2, 0, 1), np.full((40, 50), 255, np.uint8)
    hole[:10] = 0
    path = tmp_path / 'a.png'
    if kind == 'value':
        path = write_raster(tmp_path / 'a.tif', bands, nodata=7)
    elif kind == 'alpha.tif':
        four = np.concatenate([bands, hole[None]])
        path = write_raster(tmp_path / 'a.tif', four, photometric='RGB', alpha='yes')
    elif kind == 'mask':
        path = write_raster(tmp_path / 'a.tif', bands)
        with rasterio.open(path, 'r+') as file:
            file.write_mask(hole)
    elif kind == 'alpha.png':
        write(path, np.dstack([pixels, hole]))
    elif kind == 'webp':
        path = tmp_path / 'a.webp'
        write(path, np.dstack([pixels, hole]), lossless=True, exact=True)
    elif kind == 'la':
        write(path, np.dstack([pixels[..., 0], hole]))
    else:
        write(path, pixels, transparency=(7, 7, 7))
    loader = LoadImage('drop', 'repeat')
    for _ in range(2):
        got = loader.transform({'img_path': str(path)})['img']
        want = pixels if kind != 'la' else pixels[..., [0, 0, 0]]
        np.testing.assert_array_equal(got, want)
    ((text, level),) = warnings
    assert text.startswith(f'{path}: 25.0% of the pixels have no data ')
    assert level == logging.WARNING


def test_images_with_data_everywhere_are_not_named(
    tmp_path: Path, warnings: list
) -> None:
    opaque = np.full((32, 40), 255, np.uint8)
    write(tmp_path / 'a.png', np.dstack([picture(), opaque]))
    write(tmp_path / 'b.png', picture()[..., 0], transparency=7)  # read as it is
    write(tmp_path / 'c.jpg', picture())
    Image.fromarray(picture()).save(tmp_path / 'd.tif')
    for path in sorted(tmp_path.iterdir()):
        assert load(str(path)).shape == (32, 40, 3)
    assert warnings == []


def test_one_worker_names_them(tmp_path: Path) -> None:
    class Files(Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> int:
            return loader.transform({'img_path': path})['img'].shape[0]

    holes = np.dstack([picture(), np.zeros((32, 40), np.uint8)])
    path, loader = write(tmp_path / 'a.png', holes), LoadImage('drop')
    MMLogger.get_instance(str(tmp_path), log_file=str(tmp_path / 'run.log'))
    loaded = DataLoader(Files(), num_workers=2, multiprocessing_context='fork')
    assert [int(rows) for rows in loaded] == [32] * 8
    output = (tmp_path / 'run.log').read_text()
    assert output.count('a.png: 100.0% of the pixels have no data') == 1


def test_windows_of_large_images(tmp_path: Path) -> None:
    values = deep(0, 2047)
    values[:, 12:14] = 9
    path = write_raster(tmp_path / 'a.tif', values, nodata=9)
    window = ImageWindow(path, (5, 10, 30, 20), size=32)
    noted: dict[str, float] = {}
    got = window.read_image('error', 'error', (0, 2047), noted.__setitem__)
    want = np.round(values[:, 10:30, 5:35] / 2047 * 255).transpose(1, 2, 0)
    np.testing.assert_array_equal(got[:20, :30], want)
    with rasterio.open(path) as file:
        mask = file.dataset_mask(window=((10, 30), (5, 35)))
    assert noted == {path: (mask == 0).mean()}
    assert noted[path] >= 0.1


def test_headers_are_checked_as_images_are_read(tmp_path: Path) -> None:
    source = ImageFile(write_raster(tmp_path / 'a.tif', deep(0, 2047)))
    assert LoadImage(sample_range=(0, 2047)).check_header(source).bits == 16
    with pytest.raises(ImageError, match='16-bit samples'):
        LoadImage().check_header(source)
