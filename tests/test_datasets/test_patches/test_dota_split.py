"""The command that splits, counts and verifies."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")

from s5_mm.cli.command import run_command
from s5_mm.datasets.patches import (  # noqa: E402
    PatchSplitter,
    SplitSettings,
    find_sources,
    read_objects,
)
from s5_mm.io.images.read import read_image  # noqa: E402

from ..files import picture, write  # noqa: E402
from .boxes import dota, tree  # noqa: E402

TOOL = Path(__file__).parents[3] / 'tools' / 'dataset_converters' / 'dota_split.py'
SMALL = ['--sizes', '64', '--gaps', '16', '--jobs', '1']
DATA = os.environ.get('S5_MM_DATA')


@pytest.fixture
def run(capsys: pytest.CaptureFixture) -> Callable:
    """The command, in this process: starting one takes seconds."""
    main = runpy.run_path(str(TOOL))['main']

    def call(dst: Path, *args: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run_command(main, [str(dst), *map(str, args), *SMALL])
        return status, *capsys.readouterr()

    return call


def test_split_and_verify(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(200, 150), (30, 40)]), tmp_path / 'dst'
    status, out, _ = run(dst, '--src', src, '--dry-run')
    assert status == 0
    assert not dst.exists()
    assert '2 images, 13 patches' in out
    assert '0 written now' in out
    counted = out.splitlines()[1]
    status, out, err = run(dst, '--src', src)
    assert status == 0
    assert out.splitlines()[1] == counted
    assert '13 written now' in out
    assert '2/2 images, 13/13 patches, 0 bad' in err
    assert 'ETA 0 s' in err
    assert run(dst, '--src', src, '--verify')[0] == 0
    before = tree(dst)
    assert sum('annfiles' in name for name in before) == 13
    stamps = {path: path.stat().st_mtime_ns for path in dst.rglob('*')}
    status, out, _ = run(dst, '--src', src)
    assert status == 0
    assert ', 0 written now' in out
    assert stamps == {path: path.stat().st_mtime_ns for path in dst.rglob('*')}


def test_patches_are_parts_of_the_image(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(200, 150), (30, 40)]), tmp_path / 'dst'
    run(dst, '--src', src, '--padding-value', 1, 2, 3)
    image = np.zeros((150, 200, 3), int) - 1
    names = []
    for path in sorted((dst / 'images').glob('P0000*')):
        x, y = map(int, path.stem.split('__', 2)[2].split('___'))
        image[y : y + 64, x : x + 64] = read_image(str(path))
        names.append(path.stem)
    np.testing.assert_array_equal(image, picture(0, 150, 200))
    padded = read_image(str(dst / 'images' / 'P0001__64__0___0.png'))
    np.testing.assert_array_equal(padded[:40, :30], picture(1, 40, 30))
    assert (padded[40:] == (3, 2, 1)).all()  # the option is blue, green, red
    assert (padded[:, 30:] == (3, 2, 1)).all()
    # Every object of the image that a patch holds is back at its place.
    objects = read_objects(str(src / 'labelTxt' / 'P0000.txt'))
    for name in names:
        x, y = map(int, name.split('__', 2)[2].split('___'))
        part = read_objects(str(dst / 'annfiles' / f'{name}.txt'))
        for corners in part.corners + np.tile([x, y], 4):
            assert abs(objects.corners - corners).max(1).min() < 1e-3


def test_other_options(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(100, 40)]), tmp_path / 'dst'
    rest = ['--src', src, '--no-padding', '--save-ext', '.jpg', '--rates', 0.5, 1]
    assert run(dst, *rest)[0] == 0
    shapes = {p.stem: read_image(str(p)).shape for p in (dst / 'images').iterdir()}
    assert shapes == {
        'P0000__64__0___0': (40, 64, 3),
        'P0000__64__36___0': (40, 64, 3),
    }
    assert run(dst, *rest, '--verify')[0] == 0
    record = json.loads((dst / 'split.json').read_text())
    assert record['rates'] == [0.5, 1.0]
    assert record['padding_value'] is None


def test_test_set(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(100, 40)]), tmp_path / 'dst'
    status, out, _ = run(dst, '--src', src, '--no-ann')
    assert status == 0
    assert '2 patches (2 without objects' in out
    assert {p.read_text() for p in (dst / 'annfiles').iterdir()} == {''}
    folders = ['--img-dirs', src / 'images']
    assert run(tmp_path / 'other', *folders, '--no-ann')[0] == 0
    assert tree(tmp_path / 'other') == tree(dst)


def test_several_folders(tmp_path: Path, run: Callable) -> None:
    train = dota(tmp_path / 'train', [(100, 40)])
    val = dota(tmp_path / 'val', [(70, 90)], seed=5)
    assert run(tmp_path / 'a', '--src', train, val)[0] == 0
    images = ['--img-dirs', val / 'images', train / 'images']
    labels = ['--ann-dirs', val / 'labelTxt', train / 'labelTxt']
    assert run(tmp_path / 'b', *images, *labels)[0] == 0
    # A part after the other is the same too.
    assert run(tmp_path / 'c', '--src', val)[0] == 0
    assert run(tmp_path / 'c', '--src', train)[0] == 0
    assert tree(tmp_path / 'a') == tree(tmp_path / 'b') == tree(tmp_path / 'c')
    assert run(tmp_path / 'c', '--src', train, val, '--verify')[0] == 0


def test_number_of_processes(tmp_path: Path, run: Callable) -> None:
    src = dota(tmp_path / 'src', [(200, 150), (30, 40), (90, 90), (64, 64)])
    (src / 'images' / 'P0001.png').write_bytes(b'broken')
    results = []
    for jobs in (1, 2):
        dst = tmp_path / str(jobs)
        main = runpy.run_path(str(TOOL))['main']
        status = main([str(dst), '--src', str(src), *SMALL[:-1], str(jobs)])
        assert status == 1
        results.append(tree(dst))
    assert results[0] == results[1]
    assert len(results[0]) == 1 + 2 * 17


def test_bad_files_are_named_and_the_others_done(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(64, 64)] * 7), tmp_path / 'dst'
    images, labels = src / 'images', src / 'labelTxt'
    (images / 'P0000.png').write_bytes(b'')
    whole = (images / 'P0001.png').read_bytes()
    (images / 'P0001.png').write_bytes(whole[:-30])
    Image.fromarray(picture()).quantize().save(images / 'P0002.png')
    write(images / 'P0003.png', np.zeros((9, 9), np.uint16))
    (labels / 'P0004.txt').unlink()
    (labels / 'P0005.txt').write_text('1 2 3 ship')
    for _ in range(2):
        status, out, err = run(dst, '--src', src)
        assert status == 1
        for line in (
            'P0000.png: the file is empty (0 bytes)',
            'P0001.png: truncated PNG',
            'P0002.png: PNG with a palette',
            'P0003.png: PNG with 16-bit samples',
            'P0004.txt: the file does not exist',
            'P0005.txt: line 1: 3 numbers before the class',
        ):
            assert sum('BAD' in text and line in text for text in out.splitlines()) == 1
        assert '6 bad' in err
        assert [p.stem for p in (dst / 'images').iterdir()] == ['P0006__64__0___0']
    assert run(dst, '--src', src, '--dry-run')[0] == 1
    status, out, _ = run(dst, '--src', src, '--verify')
    assert status == 1
    assert 'P0005.txt: line 1' in out
    # What was repaired or is allowed now is added.
    (images / 'P0001.png').write_bytes(whole)
    status, out, _ = run(dst, '--src', src, '--missing-ann', 'empty')
    assert '2 written now' in out
    assert (dst / 'annfiles' / 'P0004__64__0___0.txt').read_text() == ''


def test_grey_and_alpha(tmp_path: Path, run: Callable) -> None:
    src, dst = tmp_path / 'src', tmp_path / 'dst'
    write(src / 'images' / 'grey.png', picture()[..., 0])
    write(src / 'images' / 'rgba.png', np.dstack([picture(), picture(1)[..., :1]]))
    status, _, _ = run(dst, '--src', src, '--no-ann', '--no-padding')
    assert status == 0
    for name, expected in (
        ('grey', np.repeat(picture()[..., :1], 3, 2)),
        ('rgba', picture()),
    ):
        found = read_image(str(dst / 'images' / f'{name}__64__0___0.png'))
        np.testing.assert_array_equal(found, expected)


def test_verify_names_what_is_wrong(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(200, 64)]), tmp_path / 'dst'
    assert run(dst, '--src', src)[0] == 0
    good = tree(dst)

    def problem(path: str, data: bytes | None) -> str:
        file = dst / path
        file.unlink(missing_ok=True)
        if data is not None:
            file.write_bytes(data)
        status, out, _ = run(dst, '--src', src, '--verify')
        assert status == 1
        (line,) = [text for text in out.splitlines() if 'BAD' in text]
        assert str(file) in line
        if path in good:
            file.write_bytes(good[path])
        else:
            file.unlink()
        return line

    image, ann = 'images/P0000__64__48___0.png', 'annfiles/P0000__64__48___0.txt'
    lines = good[ann].decode().splitlines(keepends=True)
    assert len(lines) > 1
    small = cv2.imencode('.png', np.zeros((9, 9, 3), np.uint8))[1].tobytes()
    assert 'the file does not exist' in problem(image, None)
    assert 'truncated PNG' in problem(image, good[image][:-40])
    assert '9x9 px, expected 64x64' in problem(image, small)
    assert 'cannot be read (No such file' in problem(ann, None)
    less = ''.join(lines[1:]).encode()
    assert f'{len(lines) - 1} objects, expected {len(lines)}' in problem(ann, less)
    other = ''.join(['x\n', *lines[1:]]).encode()
    assert "line 1 is 'x', expected" in problem(ann, other)
    assert 'belongs to no patch' in problem('images/P0009__64__0___0.png', small)
    assert run(dst, '--src', src, '--verify')[0] == 0
    # What is missing or has other objects is written again, and only that.
    (dst / image).unlink()
    (dst / 'annfiles/P0000__64__96___0.txt').write_bytes(b'')
    (dst / 'annfiles/P0000__64__0___0.txt').unlink()
    (dst / 'images/P0000__64__0___0.png.tmp-77').write_bytes(b'half')
    assert '3 written now' in run(dst, '--src', src)[1]
    assert tree(dst) == good


def test_destination_of_other_settings(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(64, 64)]), tmp_path / 'dst'
    status, _, err = run(dst, '--src', src, '--verify')
    assert status == 2
    assert f'{dst}/split.json: there is no such file' in err
    run(dst, '--src', src)
    for mode in ([], ['--verify']):
        status, _, err = run(dst, '--src', src, '--iof-thr', 0.5, *mode)
        assert status == 2
        assert 'split.json: iof_thr was 0.7, now it is 0.5; expected the same' in err
    (dst / 'split.json').write_text('{"sizes": [64]}')
    status, _, err = run(dst, '--src', src)
    assert status == 2
    assert "split.json: is no record of a split (KeyError: 'gaps')" in err
    (dst / 'split.json').unlink()
    status, _, err = run(dst, '--src', src)
    assert status == 2
    assert f'{dst}/images: it has files but {dst}/split.json does not exist' in err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--iof-thr', '0'], 'iof_thr=0.0, expected above 0 and at most 1'),
        (['--img-rate-thr', '2'], 'img_rate_thr=2.0, expected 0 to 1'),
        (['--padding-value', '0', '0', '256'], r'padding_value=[0, 0, 256], expected'),
        (['--rates', '0'], 'rates=[0.0], expected numbers above 0'),
    ],
)
def test_bad_options(tmp_path: Path, run: Callable, options, message) -> None:
    src = dota(tmp_path / 'src', [(64, 64)])
    status, _, err = run(tmp_path / 'dst', '--src', src, *options)
    assert status == 2
    assert message in err
    assert not (tmp_path / 'dst').exists()


def test_settings_from_code() -> None:
    with pytest.raises(ValueError, match="save_ext='.gif', allowed are"):
        SplitSettings(save_ext='.gif')
    with pytest.raises(ValueError, match="missing_ann='x', allowed are 'error' and"):
        SplitSettings(missing_ann='x')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([], 'expected either --src or --img-dirs'),
        (['--src', 'a', '--img-dirs', 'b'], 'expected either --src or --img-dirs'),
        (['--src', 'a', '--ann-dirs', 'b'], '--ann-dirs belongs to --img-dirs'),
        (['--img-dirs', 'a'], 'a test set needs --no-ann'),
        (['--img-dirs', 'a', '--ann-dirs', 'b', '--no-ann'], 'exclude each other'),
    ],
)
def test_bad_command_line(run: Callable, options, message) -> None:
    status, _, error = run(Path('dst'), *options)
    assert status == 2
    assert message in error


def test_bad_folders(tmp_path: Path) -> None:
    src = dota(tmp_path / 'src', [(64, 64)])
    images, labels = str(src / 'images'), str(src / 'labelTxt')
    with pytest.raises(ValueError, match='x: there is no such folder'):
        find_sources([images, f'{images}x'], None)
    with pytest.raises(ValueError, match='2 folder.s. of images and 1 of annotations'):
        find_sources([images, images], [labels])
    with pytest.raises(ValueError, match=f'{labels}: there is no image'):
        find_sources([labels], None)
    with pytest.raises(ValueError, match='P0000.png has the same name'):
        find_sources([images, images], None)


def test_full_disk(tmp_path: Path, run: Callable, monkeypatch) -> None:
    src, dst = dota(tmp_path / 'src', [(64, 64)]), tmp_path / 'dst'

    def fail(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(PatchSplitter, '_write', fail)
    status, _, err = run(dst, '--src', src)
    assert status == 1
    assert 'No space left on device; start again to go on' in err


@pytest.mark.skipif(not DATA, reason='S5_MM_DATA does not name a folder of imagery')
def test_real_images(tmp_path: Path, run: Callable) -> None:
    roots = [Path(str(DATA), 'dota8', split) for split in ('train', 'val')]
    folders = ['--img-dirs', *(root / 'images' for root in roots)]
    folders += ['--ann-dirs', *(root / 'annfiles' for root in roots)]
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    main = runpy.run_path(str(TOOL))['main']
    args = [*map(str, folders), '--jobs', '2']
    # As large as the images: each is its own patch, no object is lost or cut.
    assert main([str(whole), *args]) == 0
    assert main([str(whole), *args, '--verify']) == 0
    for root in roots:
        for ann in (root / 'annfiles').iterdir():
            source = read_objects(str(ann))
            name = f'{ann.stem}__1024__0___0.txt'
            patch = read_objects(str(whole / 'annfiles' / name))
            np.testing.assert_array_equal(patch.corners, source.corners)
            assert patch.labels == source.labels
            outside = ((source.corners < 0) | (source.corners > 1024)).any(1)
            expected = np.where(outside, 2, source.difficult)
            assert patch.difficult.tolist() == expected.tolist()
    status, out, _ = run(parts, *folders, '--rates', 0.25, 0.125)
    assert status == 0
    assert '8 images' in out
    assert '133 objects' in out
    assert run(parts, *folders, '--rates', 0.25, 0.125, '--verify')[0] == 0


def test_sidecars_of_a_patch_that_is_replaced_go(tmp_path: Path, run: Callable) -> None:
    src, dst = dota(tmp_path / 'src', [(60, 50)]), tmp_path / 'dst'
    run(dst, '--src', src)
    before = tree(dst)
    (patch,) = dst.rglob('*.png')
    patch.unlink()
    for ending in ('.aux.xml', '.ovr', '.msk'):
        patch.with_name(patch.name + ending).write_text('of a viewer')
    run(dst, '--src', src)
    assert tree(dst) == before
