"""Masks on disk, and the archive for a benchmark's server."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from s5_mm.evaluation import MaskWriter


def _masks(count=3, shape=(5, 7)):
    return np.random.default_rng(0).integers(0, 7, (count, *shape))


def test_ids_and_offset_are_on_disk(tmp_path):
    for offset in (0, 1):
        writer = MaskWriter(str(tmp_path / str(offset)), id_offset=offset)
        for i, mask in enumerate(_masks()):
            path = writer.write(mask, f'/data/{i}.tif', size=(5, 7))
            assert path == tmp_path / str(offset) / f'{i}.png'
            image = Image.open(path)
            assert image.mode == 'L'
            assert np.array_equal(np.array(image), mask + offset)
        assert writer.finish([f'/data/{i}.tif' for i in range(3)]) is None


def test_a_mask_of_one_row_stays_one(tmp_path):
    path = MaskWriter(str(tmp_path)).write(np.ones((1, 4), int), 'a.png', (1, 4))
    assert np.array(Image.open(path)).shape == (1, 4)


def test_a_new_mask_leaves_no_sidecar_of_an_older_one(tmp_path):
    sidecars = [tmp_path / f'a.png{end}' for end in ('.ovr', '.aux.xml', '.msk')]
    other = tmp_path / 'b.png.ovr'
    for path in (*sidecars, other):
        path.write_bytes(b'of another mask')
    MaskWriter(str(tmp_path)).write(_masks()[0], 'a.tif')
    assert [path.exists() for path in (*sidecars, other)] == [False] * 3 + [True]


def _archive(folder, names, masks):
    writer = MaskWriter(str(folder), archive='sent.zip')
    for name, mask in zip(names, masks, strict=True):
        writer.write(mask, f'/data/{name}.png')
    return writer.finish(f'/data/{name}.png' for name in names)


def test_archive_is_flat_sorted_and_deterministic(tmp_path):
    masks = _masks()
    first = _archive(tmp_path / 'a', ['10', '9', '2'], masks)
    second = _archive(tmp_path / 'b', ['2', '9', '10'], masks[::-1])
    assert first == tmp_path / 'a' / 'sent.zip'
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == ['10.png', '2.png', '9.png']
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        got = np.array(Image.open(io.BytesIO(archive.read('9.png'))))
    assert np.array_equal(got, masks[1])


def test_archive_holds_these_images_alone_and_leaves_nothing_aside(tmp_path):
    (tmp_path / 'stale.png').write_bytes(b'of another run')
    archive = _archive(tmp_path, ['a', 'b', 'c'], _masks())
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ['a.png', 'b.png', 'c.png']
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'a.png', 'b.png', 'c.png', 'stale.png', 'sent.zip'}


def test_archive_is_whole_or_the_old_one(tmp_path, monkeypatch):
    archive = _archive(tmp_path, ['a', 'b', 'c'], _masks())
    before = archive.read_bytes()

    def fail(self, entry, data):
        raise OSError('No space left on device')

    monkeypatch.setattr(zipfile.ZipFile, 'writestr', fail)
    with pytest.raises(OSError, match='No space left'):
        _archive(tmp_path, ['d', 'e', 'f'], _masks())
    assert archive.read_bytes() == before
    assert not list(tmp_path.glob('*.tmp-*'))


def test_damaged_archive_is_not_put_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, 'testzip', lambda self: 'b.png')
    with pytest.raises(OSError, match=r'b\.png was not written correctly'):
        _archive(tmp_path, ['a', 'b', 'c'], _masks())
    assert not (tmp_path / 'sent.zip').exists()


def test_same_name_in_two_folders_is_an_error_that_names_both(tmp_path):
    writer = MaskWriter(str(tmp_path))
    rural, urban = 'Test/Rural/0.png', 'Test/Urban/0.png'
    writer.write(_masks()[0], rural)
    writer.write(_masks()[0], rural)  # a sample that was repeated is none
    said = rf'{rural} and {urban}: both masks would be .*0\.png'
    with pytest.raises(ValueError, match=said):
        writer.write(_masks()[1], urban)
    # Two processes may have written one each.
    with pytest.raises(ValueError, match=said):
        MaskWriter(str(tmp_path)).finish([rural, urban])


def test_image_that_stands_in_for_another_is_not_archived(tmp_path):
    writer = MaskWriter(str(tmp_path), archive='sent.zip')
    for _ in range(2):
        writer.write(_masks()[0], 'x/a.png')
    with pytest.raises(ValueError, match=r"more than once, \['x/a\.png'\]"):
        writer.finish(['x/a.png', 'x/a.png'])
    assert not (tmp_path / 'sent.zip').exists()


def test_missing_mask_is_an_error(tmp_path):
    writer = MaskWriter(str(tmp_path), archive='sent.zip')
    with pytest.raises(FileNotFoundError, match=r'mask of x/a\.tif is not there'):
        writer.finish(['x/a.tif'])


def test_mask_of_another_size_is_refused(tmp_path):
    said = r'x/a\.tif: predicted mask of 5x7 px .* the size of the image, 10x14'
    with pytest.raises(ValueError, match=said):
        MaskWriter(str(tmp_path)).write(_masks()[0], 'x/a.tif', (10, 14))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('ids', 'offset'), [([0, 255], 1), ([0, 3], -1)])
def test_ids_must_fit_into_8_bits(tmp_path, ids, offset):
    writer = MaskWriter(str(tmp_path), id_offset=offset)
    with pytest.raises(ValueError, match=r'ids .* allowed are 0\.\.255'):
        writer.write(np.array([ids]), 'a.png')
