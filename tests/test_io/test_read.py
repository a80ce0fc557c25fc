"""Good files come out exactly; of a corpus of broken ones each says what is wrong."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_header, read_image, read_mask

from ..test_datasets.files import ids, picture, write

rasterio = pytest.importorskip('rasterio')
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


def encode(image: Image.Image, kind: str, **kwargs: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **kwargs)
    return stream.getvalue()


def tiff(bands: np.ndarray, **kwargs: object) -> bytes:
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver='GTiff',
            count=bands.shape[0],
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            **kwargs,
        ) as file:
            file.write(bands)
        return memory.read()


def png_header(width: int, height: int, bits: int, colour: int) -> bytes:
    """A PNG that declares something and holds one row of nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack('>I', zlib.crc32(name + data))
        return struct.pack('>I', len(data)) + name + data + crc

    header = struct.pack('>IIBBBBB', width, height, bits, colour, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(b'\0'))
        + chunk(b'IEND', b'')
    )


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


RGB = Image.fromarray(picture(1, 64, 48))
RGBA = Image.fromarray(np.dstack([picture(1, 64, 48), ids(2, 64, 48) * 100]))
GREY = Image.fromarray(picture(1, 64, 48)[..., 0])
JPEG, PNG = encode(RGB, 'JPEG', quality=95), encode(RGB, 'PNG')
TIFF = tiff(picture(1, 64, 48).transpose(2, 0, 1))
PALETTE = RGB.convert('P', palette=Image.Palette.ADAPTIVE)
ZEROS = np.zeros((4, 8, 8), np.uint8)
SIXTEEN = Image.fromarray(ids(1, 64, 48).astype(np.uint16) * 300)

BROKEN_IMAGES = {
    'empty.jpg': (b'', 'empty'),
    'text.jpg': (b'<html>404</html>', "not an image: it starts with b'<html>"),
    'signature.jpg': (b'\xff\xd8\xff', 'no frame header in 3 bytes'),
    'head.jpg': (JPEG[:120], 'no frame header in 120 bytes'),
    'half.jpg': (JPEG[: len(JPEG) // 2], 'truncated JPEG'),
    'end.jpg': (JPEG[:-2], 'truncated JPEG'),
    'padded.jpg': (JPEG[: len(JPEG) // 2] + bytes(5000), 'truncated JPEG'),
    'grey.jpg': (encode(GREY, 'JPEG'), r"one channel \(greyscale\).*grey='repeat'"),
    'cmyk.jpg': (encode(RGB.convert('CMYK'), 'JPEG'), 'CMYK or 4 channels.*8-bit RGB'),
    'short.png': (PNG[:20], 'hold no header'),
    'half.png': (PNG[: len(PNG) // 2], 'truncated PNG'),
    'end.png': (PNG[:-12], 'no end chunk'),
    'bit.png': (flipped(PNG, len(PNG) // 2), "damaged PNG: checksum of chunk b'IDAT'"),
    'head.png': (flipped(PNG, 30), "checksum of chunk b'IHDR'"),
    'rgba.png': (encode(RGBA, 'PNG'), r"alpha channel \(RGBA\).*alpha='drop'"),
    'la.png': (encode(RGBA.convert('LA'), 'PNG'), 'greyscale with alpha'),
    'grey.png': (encode(GREY, 'PNG'), "one channel.*grey='repeat'"),
    'palette.png': (encode(PALETTE, 'PNG'), 'a palette.*no option accepts it'),
    'grey16.png': (encode(SIXTEEN, 'PNG'), '16-bit samples, expected 8-bit'),
    'rgb16.png': (png_header(4, 4, 16, 2), '16-bit samples'),
    'bit1.png': (encode(GREY.convert('1'), 'PNG'), '1-bit samples'),
    'colour5.png': (png_header(4, 4, 8, 5), 'colour type 5'),
    'bomb.png': (png_header(60000, 60000, 8, 2), '60000x60000 px are more than'),
    'flat.png': (png_header(0, 4, 8, 2), '0x4 px, expected at least 1x1'),
    'rows.png': (png_header(4, 4, 8, 2), 'damaged PNG: it cannot be decoded'),
    'gif.gif': (encode(PALETTE, 'GIF'), 'GIF with a palette'),
    'half.bmp': (encode(RGB, 'BMP')[:200], 'damaged BMP'),
    'half.tif': (TIFF[: len(TIFF) // 2], 'damaged TIFF'),
    'magic.tif': (b'II*\0' + bytes(40), 'damaged TIFF: it cannot be opened'),
    'bands.tif': (tiff(ZEROS, photometric='MINISBLACK', alpha='NO'), '4 channels'),
    'nir.tif': (tiff(np.zeros((5, 8, 8), np.uint8)), '5 channels'),
    'float.tif': (tiff(np.zeros((3, 8, 8), np.float32)), '32-bit samples'),
    'uint16.tif': (tiff(np.zeros((3, 8, 8), np.uint16)), '16-bit samples'),
    'int8.tif': (tiff(np.zeros((3, 8, 8), np.int8)), 'int8 samples, expected uint8'),
    'grey.tif': (tiff(np.zeros((1, 8, 8), np.uint8)), "one channel.*grey='repeat'"),
    'alpha.tif': (tiff(ZEROS, photometric='RGB', alpha='yes'), "alpha='drop'"),
}  # fmt: skip
BROKEN_MASKS = {
    'empty.png': (b'', 'empty'),
    'rgb.png': (
        PNG,
        'RGB mask, expected one channel of class ids; convert its colours',
    ),
    'rgba.png': (encode(RGBA, 'PNG'), 'RGBA mask'),
    'la.png': (encode(RGBA.convert('LA'), 'PNG'), 'greyscale with alpha mask'),
    'mask.jpg': (encode(GREY, 'JPEG'), 'JPEG mask.*changes values'),
    'half.png': (encode(GREY, 'PNG')[:300], 'truncated PNG'),
    'bit.png': (flipped(encode(GREY, 'PNG'), 200), 'damaged PNG: checksum'),
    'wide.png': (encode(SIXTEEN, 'PNG'), r'mask of uint16 with values 0\.\.600'),
    'float.tif': (tiff(np.zeros((1, 8, 8), np.float32)), 'float32 mask'),
    'minus.tif': (tiff(np.full((1, 8, 8), -1, np.int16)), r'values -1\.\.-1'),
    'bands.tif': (tiff(np.zeros((3, 8, 8), np.uint8)), 'RGB mask'),
}


@pytest.mark.parametrize('name', BROKEN_IMAGES)
def test_broken_image(name: str, tmp_path: Path) -> None:
    data, message = BROKEN_IMAGES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(str(tmp_path / name))
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize('name', BROKEN_MASKS)
def test_broken_mask(name: str, tmp_path: Path) -> None:
    data, message = BROKEN_MASKS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=message):
        read_mask(str(tmp_path / name))


@pytest.mark.parametrize('read', [read_image, read_mask, read_header])
def test_no_file(read: object, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match='does not exist'):
        read(str(tmp_path / 'none.png'))
    with pytest.raises(ImageError, match='is a directory, expected an image file'):
        read(str(tmp_path))
    with pytest.raises(ImageError, match='cannot be read'):
        read('nul\0byte.png')


def test_headers_alone_find_truncation(tmp_path: Path) -> None:
    for name in ('half.jpg', 'half.png', 'bit.png', 'empty.jpg', 'magic.tif'):
        (tmp_path / name).write_bytes(BROKEN_IMAGES[name][0])
        with pytest.raises(ImageError, match=BROKEN_IMAGES[name][1]):
            read_header(str(tmp_path / name))


def test_good_images_are_exact(tmp_path: Path) -> None:
    expected = picture(1, 64, 48)
    good = {
        'a.png': PNG,
        'lies.jpg': PNG,
        'a.tif': TIFF,
        'a.bmp': encode(RGB, 'BMP'),
        'trailer.png': PNG + b'more',
    }
    for name, data in good.items():
        (tmp_path / name).write_bytes(data)
        image = read_image(str(tmp_path / name))
        assert image.dtype == np.uint8, name
        np.testing.assert_array_equal(image, expected, name)
        assert read_header(str(tmp_path / name))[1:3] == (48, 64)
    (tmp_path / 'a.jpg').write_bytes(JPEG + bytes(7))  # padded after its end
    image = read_image(str(tmp_path / 'a.jpg')).astype(int)
    assert np.abs(image - np.array(Image.open(io.BytesIO(JPEG)))).max() <= 4


def test_jpeg_with_something_behind_it(tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(JPEG + b'a camera put its thumbnail here')
    assert read_image(str(tmp_path / 'a.jpg')).shape == (64, 48, 3)


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    (tmp_path / 'a.jpg').write_bytes(encode(RGB, 'JPEG', exif=exif))
    assert read_image(str(tmp_path / 'a.jpg')).shape == (64, 48, 3)


def test_policies(tmp_path: Path) -> None:
    path = write(tmp_path / 'rgba.png', np.array(RGBA))
    np.testing.assert_array_equal(read_image(path, alpha='drop'), picture(1, 64, 48))
    path = write(tmp_path / 'grey.png', np.array(GREY))
    image = read_image(path, grey='repeat')
    np.testing.assert_array_equal(image, np.dstack([np.array(GREY)] * 3))
    (tmp_path / 'la.png').write_bytes(BROKEN_IMAGES['la.png'][0])
    assert read_image(str(tmp_path / 'la.png'), 'drop', 'repeat').shape == (64, 48, 3)
    (tmp_path / 'alpha.tif').write_bytes(BROKEN_IMAGES['alpha.tif'][0])
    assert read_image(str(tmp_path / 'alpha.tif'), 'drop').shape == (8, 8, 3)
    (tmp_path / 'grey.tif').write_bytes(BROKEN_IMAGES['grey.tif'][0])
    assert read_image(str(tmp_path / 'grey.tif'), grey='repeat').shape == (8, 8, 3)


def test_masks_keep_their_values(tmp_path: Path) -> None:
    expected = ids(3)
    palette = Image.fromarray(expected).convert('P')
    palette.putdata(expected.ravel().tolist())
    palette.putpalette([200, 10, 10, 0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / 'palette.png')
    write(tmp_path / 'plain.png', expected)
    write(tmp_path / 'sixteen.png', expected.astype(np.uint16))
    (tmp_path / 'a.tif').write_bytes(tiff(expected[None].astype(np.int32)))
    for name in ('palette.png', 'plain.png', 'sixteen.png', 'a.tif'):
        mask = read_mask(str(tmp_path / name))
        assert mask.dtype == np.uint8, name
        np.testing.assert_array_equal(mask, expected, name)


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_masks_of_few_bits(bits: int, tmp_path: Path) -> None:
    expected = np.random.default_rng(0).integers(0, 2**bits, (5, 8), np.uint8)
    rows = []
    for row in expected:  # packed by hand: Pillow writes no 2- or 4-bit greys
        digits = ''.join(f'{value:0{bits}b}' for value in row)
        rows.append(b'\0' + int(digits, 2).to_bytes(len(digits) // 8, 'big'))
    data = png_header(8, 5, bits, 0)
    body = zlib.compress(b''.join(rows))
    start, end = data.index(b'IDAT') - 4, data.index(b'IEND') - 4
    chunk = b'IDAT' + body
    chunk = struct.pack('>I', len(body)) + chunk + struct.pack('>I', zlib.crc32(chunk))
    (tmp_path / 'a.png').write_bytes(data[:start] + chunk + data[end:])
    np.testing.assert_array_equal(read_mask(str(tmp_path / 'a.png')), expected)


def test_tiff_without_rasterio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'a.tif').write_bytes(TIFF)
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    with pytest.raises(ImageError, match=r"pip install 's5_mm\[geo\]'"):
        read_image(str(tmp_path / 'a.tif'))


def test_error_survives_a_worker() -> None:
    error = pickle.loads(pickle.dumps(ImageError('a.png', 'broken')))
    assert (str(error), error.path, error.reason) == (
        'a.png: broken',
        'a.png',
        'broken',
    )
    assert str(ImageError('a message')) == 'a message'
