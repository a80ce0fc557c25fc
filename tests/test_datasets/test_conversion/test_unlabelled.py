"""Million-AID, SAMRS and STAR: images without labels and a list of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s5_mm.datasets import UnlabelledDataset

from .archives import convert, counts, encode, pack, picture, tree, unpack

ARGS = ('--jobs', 1, '--counts', 'none')
LOAD = [{'type': 's5_mm.LoadImage'}]


def images(dst: Path) -> dict[str, np.ndarray]:
    """What a run reads of the list."""
    dataset = UnlabelledDataset(str(dst), ann_file='images.txt', pipeline=LOAD)
    samples = [dataset[index] for index in range(len(dataset))]
    return {
        Path(sample['img_path']).relative_to(dst).as_posix(): sample['img']
        for sample in samples
    }


def millionaid(src: Path) -> None:
    jpg = {f'P{n:07}.jpg': encode(picture(n), 'JPEG') for n in (1, 20000, 1000848)}
    names = list(jpg)
    folder = 'train/agriculture_land/grassland/meadow'
    pack(src / 'train.zip', {f'{folder}/{names[1]}': jpg[names[1]]})
    pack(src / 'test1.zip', {f'test/{names[0]}': jpg[names[0]]})
    pack(src / 'test2.zip', {names[2]: jpg[names[2]], 'readme.txt': 'x'})


def samrs(src: Path) -> None:
    png, jpg = encode(picture(1)), encode(picture(2), 'JPEG')
    pack(src / 'SOTA/trainval/images.zip', {'images/P0000__1024__0___0.png': png})
    pack(
        src / 'SOTA/trainval/hbox_segs_init.zip',
        {'gray/P0000__1024__0___0.png': png, 'color/P0000__1024__0___0.png': png},
    )
    pack(
        src / 'SIOR/JPEGImages.zip',
        {'JPEGImages-trainval/00001.jpg': jpg, 'JPEGImages-test/11726.jpg': jpg},
    )
    pack(src / 'fair1m_1024.zip', {'trainval/images/7__600__0___0.png': png})


def star(src: Path) -> None:
    png = encode(picture(3, 90, 70))
    pack(src / 'train/img.zip', {'img/0001.png': png})
    pack(src / 'test/img264.zip', {'0002.png': png})
    pack(src / 'train/object-TXT.zip', {'object-TXT/0001.txt': 'x'})


def test_millionaid(tmp_path: Path) -> None:
    src, dst = tmp_path / 'src', tmp_path / 'dst'
    millionaid(src)
    known = counts(tmp_path / 'k.json', 'millionaid', train=(1,), test=(2,))
    assert convert('millionaid', src, dst, '--jobs', 1, '--counts', known) == 0
    names = ['test/P000/P0000001.jpg', 'test/P100/P1000848.jpg']
    names.append('train/P002/P0020000.jpg')
    assert (dst / 'images.txt').read_text().split() == names
    for name, image in images(dst).items():
        data = (dst / name).read_bytes()
        assert data == encode(picture(int(name[-11:-4])), 'JPEG')
        assert image.shape == (24, 32, 3)


def test_samrs(tmp_path: Path) -> None:
    src, dst = tmp_path / 'src', tmp_path / 'dst'
    samrs(src)
    known = counts(tmp_path / 'k.json', 'samrs', sota=(1,), sior=(2,), fast=(1,))
    assert convert('samrs', src, dst, '--jobs', 1, '--counts', known) == 0
    found = images(dst)
    assert list(found) == [
        'fast/7__600__0___0.png',
        'sior/00001.jpg',
        'sior/11726.jpg',
        'sota/P0000__1024__0___0.png',
    ]
    np.testing.assert_array_equal(found['fast/7__600__0___0.png'], picture(1))


def test_star(tmp_path: Path, capsys) -> None:
    src, dst = tmp_path / 'src', tmp_path / 'dst'
    star(src)
    assert convert('star', src, dst, *ARGS, '--size', 40) == 0
    found, whole = images(dst), picture(3, 90, 70)
    places = [(x, y) for y in (0, 30) for x in (0, 40, 50)]
    assert len(found) == 12
    for split, name in (('train', '0001'), ('test', '0002')):
        for x, y in places:
            tile = found[f'{split}/{name}/{name}_{x}_{y}.png']
            np.testing.assert_array_equal(tile, whole[y : y + 40, x : x + 40])
    assert convert('star', src, tmp_path / 'whole', *ARGS, '--size', 0) == 0
    assert list(images(tmp_path / 'whole')) == ['test/0002.png', 'train/0001.png']
    assert convert('star', src, dst, *ARGS) == 2
    assert 'size was 40, now it is 512' in capsys.readouterr().err
    assert convert('star', src, tmp_path / 'all', '--jobs', 1, '--dry-run') == 1
    out = capsys.readouterr().out
    assert 'BAD val: 0 images of the source, expected 238' in out


@pytest.mark.parametrize('make', [millionaid, samrs, star])
def test_packed_or_not_in_one_or_two_processes(make, tmp_path: Path) -> None:
    src, name = tmp_path / 'src', make.__name__
    make(src)
    made = []
    for jobs in (1, 2):
        dst = tmp_path / f'dst{jobs}'
        assert convert(name, src, dst, '--jobs', jobs, '--counts', 'none') == 0
        made.append(tree(dst))
    assert made[0] == made[1]


def test_unpacked(tmp_path: Path) -> None:
    millionaid(tmp_path / 'src')
    for name in ('train', 'test1'):
        assert (tmp_path / f'src/{name}.zip').exists()
    (tmp_path / 'src/test2.zip').unlink()
    unpacked = unpack(tmp_path / 'src', tmp_path / 'unpacked')
    for source in (tmp_path / 'src', unpacked):
        dst = tmp_path / f'dst_{source.name}'
        assert convert('millionaid', source, dst, *ARGS) == 0
    assert tree(tmp_path / 'dst_src') == tree(tmp_path / 'dst_unpacked')


def test_bad_images(tmp_path: Path, capsys) -> None:
    src, dst = tmp_path / 'src', tmp_path / 'dst'
    millionaid(src)
    grey = encode(picture(5)[..., 0], 'JPEG')
    cut = encode(picture(6), 'JPEG')[:-40]
    more = {'test/P0000005.jpg': grey, 'test/P0000006.jpg': cut}
    pack(src / 'test3.zip', more)
    assert convert('millionaid', src, dst, *ARGS) == 1
    out = capsys.readouterr().out
    assert f'BAD {dst}/test/P000/P0000005.jpg: JPEG with one channel' in out
    assert f'BAD {dst}/test/P000/P0000006.jpg: truncated' in out
    star(src)
    pack(src / 'val/img.zip', {'img/0009.png': b'no image'})
    assert convert('star', src, tmp_path / 'star', *ARGS, '--size', 40) == 1
    assert 'BAD val/img.zip/img/0009.png: ' in capsys.readouterr().out
