"""Windows of files equal windows of arrays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from s5_mm.curation.planning.crop_grid import CropGrid, crop_ids
from s5_mm.curation.planning.crops import read_crops
from s5_mm.io.images import rows
from s5_mm.io.images.fill import fill_up
from s5_mm.io.images.header import ImageError


@pytest.fixture
def image(tmp_path):
    """An image of 300x200 px and its file."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, pixels[..., ::-1])
    return pixels, path


@pytest.mark.parametrize('whole', [True, False])
def test_windows(image, whole, monkeypatch) -> None:
    pixels, path = image
    if not whole:
        pytest.importorskip('rasterio', reason='large files are read by rasterio')
        defaults = (False, 0)
        monkeypatch.setattr(rows.open_rows, '__defaults__', defaults)
    windows = CropGrid(64, 40).windows(300, 200)
    crops = list(read_crops(path, windows, 64))
    assert len(crops) == len(windows) == 5 * 7
    seen = np.zeros((200, 300), bool)
    for (x, y, width, height), crop in zip(windows, crops, strict=True):
        assert (crop == pixels[y : y + height, x : x + width]).all()
        seen[y : y + height, x : x + width] = True
    assert seen.all()


def test_small_images(image) -> None:
    pixels, path = image
    (window,) = CropGrid(512).windows(300, 200)
    assert window.tolist() == [0, 0, 300, 200]
    (mirrored,) = read_crops(path, window, 512)
    wanted = np.pad(pixels, ((0, 312), (0, 212), (0, 0)), 'reflect')
    assert (mirrored == wanted).all()
    (zeros,) = read_crops(path, window, 512, small='zero')
    assert (zeros[:200, :300] == pixels).all()
    assert zeros.sum() == pixels.sum()
    assert (
        fill_up(pixels[:1, :1], 3, 'reflect').tolist()
        == [[pixels[0, 0].tolist()] * 3] * 3
    )
    assert not len(CropGrid(512, small='drop').windows(300, 200))
    assert not len(CropGrid(256, 256, min_size=201).windows(300, 200))


def test_max_crops_is_a_choice_by_identifier() -> None:
    grid = CropGrid(64, 64, max_crops=5)
    windows = grid.windows(640, 640)
    ids = crop_ids('a', 'b.png', windows)
    kept = grid.choose(windows, ids)
    assert sorted(ids[kept]) == sorted(ids)[:5]
    assert (np.diff(kept) > 0).all()


def test_identifiers() -> None:
    windows = CropGrid(8, 1).windows(200, 200)
    ids = crop_ids('a', 'b.png', windows)
    assert len(np.unique(ids)) == len(ids) == 193 * 193
    assert (ids == crop_ids('a', 'b.png', windows[:, :])).all()
    assert ids[7] == crop_ids('a', 'b.png', windows[7:8])[0]
    for other in (('b', 'b.png'), ('a', 'c.png'), ('ab', '.png')):
        assert not np.isin(crop_ids(*other, windows), ids).any()
    # Every bit is set in about half of them.
    bits = np.unpackbits(ids.view(np.uint8).reshape(-1, 8), axis=1).mean(0)
    assert abs(bits - 0.5).max() < 0.02


def test_errors(image, tmp_path) -> None:
    _, path = image
    with pytest.raises(ValueError, match='sorted by y'):
        list(read_crops(path, [[0, 9, 8, 8], [0, 0, 8, 8]], 8))
    with pytest.raises(ValueError, match=r'a\.png: the window x=296 y=0 8x8 px is not'):
        list(read_crops(path, [[296, 0, 8, 8]], 8))
    (tmp_path / 'b.png').write_bytes(b'')
    with pytest.raises(ImageError, match=r'b\.png'):
        list(read_crops(str(tmp_path / 'b.png'), [[0, 0, 8, 8]], 8))
    for wrong, message in (
        (dict(size=0), 'size=0'),
        (dict(size=8, stride=9), 'pixels stay unseen'),
        (dict(small='crop'), "small='crop', allowed are"),
        (dict(max_crops=0), 'max_crops=0'),
    ):
        with pytest.raises(ValueError, match=message):
            CropGrid(**wrong)
