"""What tools/new_dataset.py refuses, and what it says."""

from __future__ import annotations

import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .own_folders import scene, write, write_folder
from .own_images import ROOT, make

WRONG = {
    'missing': (lambda d: shutil.rmtree(d), {}, 'expected a folder of images, it is m'),
    'empty': (
        lambda d: (shutil.rmtree(d), d.mkdir()),
        {},
        r'no image \(.jpg, .jpeg, .png, .tif, .tiff\) in it; expected images/ and',
    ),
    'no masks': (
        lambda d: shutil.rmtree(d / 'masks'),
        {},
        r'4 image\(s\), images/tile 0.jpg the first, but no mask of the same name; exp',
    ),
    'no mask fits': (
        lambda d: [
            p.rename(p.with_name(f'x{p.name}')) for p in (d / 'masks').iterdir()
        ],
        {},
        r'4 image\(s\), tile 0.jpg the first, but no mask of the same name in .*masks',
    ),
    'a stray value': (
        lambda d: write(
            d / 'masks/tile 0.png',
            np.array([0, 1, 2, 4, 77])[np.arange(64 * 64).reshape(64, 64) % 5],
        ),
        {'classes': ('a', 'b', 'c', 'd', 'e')},
        r'masks hold 5 values, 0, 1, 2, 4, 77; 77: not among the ids of 5 classes, 0 '
        r'to 4; name each value: --classes NAME=0 NAME=1 NAME=2 NAME=4 NAME=77, or '
        r'leave it out: --ignore 77$',
    ),
    'masks of two endings': (
        lambda d: (d / 'masks/tile 2.png').rename(d / 'masks/tile 2.PNG'),
        {},
        r'masks: tile 2.PNG ends otherwise than \*.png, as 3 other masks do; expected '
        'one ending for all masks, capitals count',
    ),
    'a mask is missing': (
        lambda d: (d / 'masks/tile 2.png').unlink(),
        {},
        r'1 of 4 images have no mask \*.png, tile 2.jpg the first; move them into',
    ),
    'an image is missing': (
        lambda d: (d / 'images/tile 2.jpg').unlink(),
        {},
        r'masks: 1 mask\(s\) have no image, tile 2.png the first',
    ),
    'too many ids': (
        lambda d: write(
            d / 'masks/tile 0.png',
            np.array([*range(5), 255])[np.arange(64 * 64).reshape(64, 64) % 6],
        ),
        {'classes': ('a', 'b', 'c')},
        r'masks hold 6 values, 0, 1, 2, 3, 4, 255, --classes names 3; name each value: '
        r'--classes NAME=0 NAME=1 NAME=2 NAME=3 NAME=4, or leave',
    ),
    'shades': (
        lambda d: write(
            d / 'masks/tile 0.png', np.arange(64 * 64).reshape(64, 64) % 99
        ),
        {'classes': ('a', 'b')},
        r'masks hold 99 values, 0, 1, 2, 3, 4, 5, 6, 7, ..., --classes names 2',
    ),
    'unknown number': (
        lambda d: write_folder(d, 4, values=(0, 127)),
        {},
        r'masks hold 2 values, 0, 127; say which class each one is: --classes NAME=0 N',
    ),
    'one class': (
        lambda d: write_folder(d, 4, values=(0, 0)),
        {},
        r'masks hold one value, 0; expected at least two classes',
    ),
    'another size': (
        lambda d: write(d / 'masks/tile 3.png', np.zeros((64, 60), np.uint8)),
        {},
        r'tile 3.png: mask of 60x64 px, its image .*tile 3.jpg has 64x64 px',
    ),
    'unreadable': (
        lambda d: (d / 'images/tile 1.jpg').write_bytes(b''),
        {},
        r'tile 1.jpg: the file is empty \(0 bytes\)',
    ),
    'photograph': (
        lambda d: write(d / 'masks/tile 0.png', scene(0)[0]),
        {},
        r'tile 0.png: \d+ colours, which are no classes: is it a photograph',
    ),
    'mixed': (
        lambda d: write(d / 'masks/tile 2.png', np.zeros((64, 64, 3), np.uint8)),
        {},
        r'tile 2.png and .*tile 0.png: one is in colours and one holds class ids',
    ),
    'jpeg masks': (
        lambda d: [
            (write(d / f'masks/tile {n}.jpg', scene(n)[1]), p.unlink())
            for n, p in enumerate(sorted((d / 'masks').iterdir()))
        ],
        {},
        r'tile 0.jpg: JPEG mask, .* JPEG changes values, use PNG or TIFF',
    ),
    'two endings': (
        lambda d: [
            (
                write(d / f'{split}/images/a.png', scene(0)[0]),
                write(d / f'{split}/masks/a.{end}', scene(0)[1]),
            )
            for split, end in (('train', 'png'), ('val', 'tif'))
        ],
        {},
        r'masks end in .png, .tif; expected one ending in all splits',
    ),
    'one name': (
        lambda d: None,
        {'classes': ('a',)},
        '1 classes; allowed are 2 to 254',
    ),
    'twice': (lambda d: None, {'classes': ('a', 'a')}, '--classes: a occurs twice'),
    'half': (
        lambda d: None,
        {'classes': ('a=0', 'b')},
        '1 of 2 classes have a value; expected a value for each or for none',
    ),
    'nonsense': (
        lambda d: None,
        {'classes': ('a=x',)},
        r"--classes: 'a=x'; expected NAME, NAME=VALUE",
    ),
    'name': (lambda d: None, {'name': 'a b'}, "--name 'a b'; expected letters, digits"),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, case: str) -> None:
    spoil, options, message = WRONG[case]
    data = write_folder(tmp_path / 'data', 4)
    spoil(data)
    with pytest.raises((ValueError, OSError), match=message) as error:
        make(data, **options)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'own').exists()


def test_ids_from_one_and_a_stray_value(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 3, values=(1, 2))
    write(data / 'masks/tile 0.png', np.repeat([[1, 2, 3, 4]], 64, 0).repeat(16, 1))
    made = make(data, classes=('a', 'b', 'c', 'd'))
    assert made.classes.label_map == {1: 0, 2: 1, 3: 2, 4: 3}
    write(data / 'masks/tile 0.png', np.repeat([[1, 2, 0, 77]], 64, 0).repeat(16, 1))
    made = make(data, classes=('a', 'b', 'c'), ignore=(77,), name='x')
    assert made.classes.label_map == {77: 255}


def test_configs_need_a_folder(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 3)
    (tmp_path / 'own').touch()
    with pytest.raises(NotADirectoryError, match='--out: .*own is a file; expected a'):
        make(data, classes=('land', 'water'))


def test_what_is_there_stays(tmp_path: Path) -> None:
    data = write_folder(tmp_path / 'data', 4)
    made = make(data, classes=('land', 'water'))
    made.files[1].write_text('mine')
    with pytest.raises(FileExistsError, match=r'data_data.py exists; --overwrite repl'):
        make(data, classes=('land', 'water'))
    assert made.files[1].read_text() == 'mine'
    make(data, classes=('land', 'water'), overwrite=True)
    assert made.files[1].read_text() != 'mine'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """The command, in this process: starting one takes seconds."""
    main = runpy.run_path(str(ROOT / 'tools/new_dataset.py'))['main']

    def call(*args: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['new_dataset.py', *map(str, args)])
        return (main(), *capsys.readouterr())

    return call


def test_the_command_says_what_it_found_and_what_comes_next(
    tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_folder(tmp_path / 'my data', 5, values=(0, 255))
    out = tmp_path / 'out'
    code, text, _ = run(data, '--classes', 'land', 'water', '--out', out, '--name', 'm')
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == 'train/sup: 4 samples, 0 bad'
    assert 'note: values of the masks: 255 is water' in lines
    assert any(line.startswith('weights: none, a random start') for line in lines)
    start = lines.index('next:')
    assert lines[start + 1] == f'  python tools/train.py {out}/m.py'
    assert lines[start + 2].startswith(
        f'  python tools/segment_raster.py {out}/m.py work_dirs/m/iter_400.pth '
        f"'{data}/images/tile "
    )
    # An id that no mask holds is a warning with the likely cause.
    args = (data, '--classes', 'a=0', 'b=255', 'c=3', '--out', out, '--name', 'n')
    code, text, _ = run(*args)
    assert code == 0
    assert "WARNING class 'c': no pixel in any split; the masks hold the ids" in text
