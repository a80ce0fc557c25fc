"""Labelled splits: what is drawn, which lists are written, and those in configs."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from s5_mm.cli.command import run_command
from s5_mm.datasets.segmentation import SegDataset
from s5_mm.datasets.splits import draw_order
from s5_mm.datasets.unlabelled import UnlabelledDataset

from .files import META, picture, write

ROOT = Path(__file__).parents[2]


LISTS = ROOT / 'configs/_base_/splits'


COMMAND = runpy.run_path(str(ROOT / 'tools/misc/s4_splits.py'))['main']


SIZES = {
    'hrsc_ships': {'5': 5, '10': 10, '20': 20},
    'dubai': {'1-8': 6, '1-4': 12},
    'korea_s2': {'3': 3},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve pairs in two sub-folders, one with a blank in its name; rare class 2."""
    root = tmp_path / 'data'
    for index in range(12):
        name = f'{"train" if index < 9 else "val"}/{index} {index % 2}.png'
        write(root / 'img_dir' / name, picture(index, 8, 10))
        mask = np.zeros((8, 10), np.uint8)
        mask[: index % 4] = 1
        if index == 5:
            mask[0, :3] = 2
        mask[-1] = 255
        write(root / 'ann_dir' / name, mask)
    return root


def run(*args: object) -> int:
    return run_command(COMMAND, [str(arg) for arg in args])


def drawn(data: Path, out: Path, *args: str) -> int:
    return run(data, '--classes', 'a', 'b', 'c', '--out', out, *args)


def read(file: Path) -> list[list[str]]:
    return [line.split('\t') for line in file.read_text().splitlines()]


def test_excluded_images_are_in_no_list(data: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    args = ['--labelled', '2', '--exclude', '/val/', '--test', 'train/[0-2]']
    assert drawn(data, out, *args) == 0
    lists = {name: read(out / f'{name}.txt') for name in ('train', 'test')}
    assert {name: len(lines) for name, lines in lists.items()} == dict(train=6, test=3)
    drawn_lines = [*read(out / 'seed0/labelled_2.txt'), *lists['train'], *lists['test']]
    assert all(line[0].startswith('img_dir/train/') for line in drawn_lines)
    record = json.loads((out / 'seed0/split.json').read_text())
    assert '--exclude /val/' in record['command']


def test_lists_are_nested_and_read_by_both_data_sets(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / 'out'
    args = ['--labelled', '1/3', '2', '--seeds', '3', '4', '--stratify']
    assert drawn(data, out, *args, '--test', '/val/') == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert printed[0].startswith(f'{out}/seed3/labelled_2.txt: 2 images, a ')
    train = read(out / 'train.txt')
    test = read(out / 'test.txt')
    assert len(train) == 9
    assert {Path(image).parent.name for image, _ in train} == {'train'}
    assert {Path(image).parent.name for image, _ in test} == {'val'}
    folders = [out / 'seed3', out / 'seed4']
    firsts = []
    for folder in folders:
        small, large = (read(folder / f'labelled_{s}.txt') for s in ('2', '1-3'))
        assert (len(small), len(large)) == (2, 3)
        assert all(line in large for line in small)
        assert ['img_dir/train/5 1.png', 'ann_dir/train/5 1.png'] in small
        for size, lines in (('2', small), ('1-3', large)):
            rest = [line[0] for line in read(folder / f'unlabelled_{size}.txt')]
            assert sorted([*rest, *(image for image, _ in lines)]) == sorted(
                image for image, _ in train
            )
            file = str((folder / f'labelled_{size}.txt').resolve())
            labelled = SegDataset(
                ann_file=file, data_root=str(data), metainfo=META, img_suffix='.jpg'
            )
            assert [
                (info['img_path'], info['seg_map_path'])
                for info in map(labelled.get_data_info, range(len(lines)))
            ] == [(str(data / image), str(data / mask)) for image, mask in lines]
            again = UnlabelledDataset(str(data), ann_file=file, separator='\t')
            assert list(again.paths) == [str(data / image) for image, _ in lines]
            file = str((folder / f'unlabelled_{size}.txt').resolve())
            unlabelled = UnlabelledDataset(str(data), ann_file=file)
            assert list(unlabelled.paths) == [str(data / image) for image in rest]
        firsts.append(small)
    assert firsts[0] != firsts[1]

    before = {path: path.read_bytes() for path in out.rglob('*.*')}
    assert drawn(data, out, *args, '--test', '/val/', '--jobs', '2') == 0
    for path, content in before.items():
        if path.name != 'split.json':
            assert path.read_bytes() == content


def test_record(data: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    assert drawn(data, out, '--labelled', '4', '--test', '/val/') == 0
    record = json.loads((out / 'seed0/split.json').read_text())
    assert record['seed'] == 0
    assert record['command'].startswith(
        'python tools/misc/s4_splits.py data --classes a b c --out '
    )
    parts = record['parts']
    assert set(parts) == {'train', 'test', 'labelled_4', 'unlabelled_4'}
    for part, file in (
        ('train', 'train.txt'),
        ('test', 'test.txt'),
        ('labelled_4', 'seed0/labelled_4.txt'),
    ):
        pixels = np.zeros(3)
        images = np.zeros(3, int)
        for line in read(out / file):
            index = int(Path(line[0]).stem.split()[0])
            rows = index % 4
            counted = np.array([70 - 10 * rows, 10 * rows, 0])
            if index == 5:
                counted += [0, -3, 3]
            pixels += counted
            images += counted > 0
        shares = list(parts[part]['class_shares'].values())
        np.testing.assert_allclose(shares, pixels / pixels.sum(), atol=1e-6)
        assert list(parts[part]['images_with_class'].values()) == images.tolist()
        assert parts[part]['images'] == len(read(out / file))


def test_missing_class_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    args = ('--labelled', '1', '--stratify', '--seeds')
    assert drawn(data, tmp_path / 'one', *args, *map(str, range(4))) == 0
    err = capsys.readouterr().err
    assert 'labelled_1.txt: no pixel of' not in err  # image 5 has all three
    write(data / 'ann_dir/train/5 1.png', np.full((8, 10), 2, np.uint8))
    assert drawn(data, tmp_path / 'two', *args, '0') == 0
    err = capsys.readouterr().err
    assert 'labelled_1.txt: no pixel of c; no choice was found that has every' in err
    assert drawn(data, tmp_path / 'three', '--labelled', '1') == 0
    assert '--stratify looks for every class' in capsys.readouterr().err


def test_pixels_that_a_class_needs(data: Path, tmp_path: Path) -> None:
    """Class 1 has 30 pixels in images 3, 7 and 11, class 2 so many in none."""
    args = ('--labelled', '2', '--stratify', '--min-pixels', '30', '--seeds')
    assert drawn(data, tmp_path / 'o', *args, *map(str, range(9))) == 0
    for seed in range(9):
        lines = read(tmp_path / f'o/seed{seed}/labelled_2.txt')
        ids = {int(Path(image).stem.split()[0]) for image, _ in lines}
        assert 5 in ids
        assert ids & {3, 7, 11}


def test_values_of_masks(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f'img_dir/{index}.png', picture(index, 4, 4))
        mask = np.full((4, 4), 9, np.uint8)
        mask[0], mask[1, :2] = 200, 77
        write(tmp_path / f'ann_dir/{index}_label.png', mask)
    args = [tmp_path, '--labelled', '1', '--out', tmp_path / 'out', '--classes']
    args += ['x=200', 'y=9', '--ignore', '77']
    assert run(*args, '--mask-suffix', '_label.png') == 0
    parts = json.loads((tmp_path / 'out/seed0/split.json').read_text())['parts']
    assert parts['train']['class_shares'] == {
        'x': pytest.approx(4 / 14, abs=1e-6),
        'y': pytest.approx(10 / 14, abs=1e-6),
    }


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--labelled', 'few'], "--labelled: 'few'; expected a number of images"),
        (['--labelled', '0'], "--labelled: '0'; expected a number of images"),
        (['--labelled', '1.5'], "--labelled: '1.5'; expected a number of images"),
        (['--labelled', '-1/8'], 'expected'),
        (['--labelled', '1/0'], "--labelled: '1/0'; expected a number of images"),
        (['--labelled', '12'], '--labelled 12: 12 of 12 image(s) to draw from; expe'),
        (['--labelled', '1/40'], '--labelled 1/40: 0 of 12 image(s) to draw from'),
        (['--labelled', '1/4', '0.25'], '--labelled: 1-4 occurs twice'),
        (['--labelled', '2', '--seeds', '-1'], '--seeds -1: expected different whole'),
        (['--labelled', '2', '--seeds', '1', '1'], '--seeds 1 1: expected different'),
        (['--labelled', '2', '--test', '('], "--test '(': missing )"),
        (
            ['--labelled', '2', '--test', 'img'],
            "--test 'img' fits 12 of 12 images such",
        ),
        (
            ['--labelled', '2', '--test', 'no'],
            "--test 'no' fits 0 of 12 images such as",
        ),
        (
            ['--labelled', '2', '--exclude', 'no'],
            "--exclude 'no' fits 0 of 12 images such as",
        ),
        (['--labelled', '2', '--min-pixels', '0'], '--min-pixels 0: expected at least'),
        (['--labelled', '2', '--jobs', '0'], '--jobs 0: expected at least 1'),
        (['--labelled', '2', '--ignore', '9', '2'], '--ignore 2: the value of a class'),
        (['--labelled', '2', '--img-dir', 'none'], 'none: expected a folder of images'),
        (['--labelled', '2', '--mask-suffix', '.tif'], 'no image in this folder or b'),
    ],
)
def test_refusals(
    args: list[str],
    message: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    assert drawn(data, tmp_path / 'out', *args) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len([line for line in err.splitlines() if 's4_splits.py: ' in line]) == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (['a', 'b'], 'mask value(s) 2 (3 px) outside the 2 classes; allowed are'),
        (['a=0', 'b', 'c'], '--classes a=0 b c: expected names alone, or NAME=VALUE'),
        (['a=#ff0000', 'b=#00ff00'], 'expected names alone, or NAME=VALUE for each'),
        (['a=x'], "--classes: 'a=x'; expected NAME, NAME=VALUE"),
        (['a', 'a', 'c'], '--classes: a occurs twice, expected different names and'),
        (['a=0', 'b=2', 'c=2'], '--classes: 2 occurs twice, expected different names'),
    ],
)
def test_refused_classes(
    classes: list[str],
    message: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / 'out'
    assert run(data, '--labelled', 2, '--out', out, '--classes', *classes) == 2
    assert message in capsys.readouterr().err


def test_refused_files(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert drawn(data, tmp_path / 'out', '--labelled', '2') == 0
    assert drawn(data, tmp_path / 'out', '--labelled', '3') == 2
    assert (
        'seed0/labelled_2.txt: is there already, of another draw'
        in capsys.readouterr().err
    )
    (data / 'img_dir/a\tb.png').write_bytes(b'')
    (data / 'ann_dir/a\tb.png').write_bytes(b'')
    assert drawn(data, tmp_path / 'new', '--labelled', '2') == 2
    assert 'a list cannot hold this name' in capsys.readouterr().err
    (data / 'img_dir/a\tb.png').unlink()
    (data / 'ann_dir/a\tb.png').unlink()
    (data / 'ann_dir/train/3 1.png').write_bytes(b'PNG')
    assert drawn(data, tmp_path / 'new', '--labelled', '2') == 2
    assert 'ann_dir/train/3 1.png: ' in capsys.readouterr().err
    (data / 'ann_dir/train/3 1.png').unlink()
    assert drawn(data, tmp_path / 'new', '--labelled', '2') == 2
    assert 'no mask *.png for 1 image(s)' in capsys.readouterr().err


def test_lists_of_two_draws_never_mix(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Images held out by a second draw would be in the lists of the first."""
    out = tmp_path / 'out'
    assert drawn(data, out, '--labelled', '2', '--seeds', '0', '1') == 0
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    capsys.readouterr()
    assert drawn(data, out, '--labelled', '2', '--seeds', '2', '--test', '/val/') == 2
    assert 'train.txt: is there already, of another draw' in capsys.readouterr().err
    after = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    assert after == before
    # The same draw once more, and further seeds of it.
    assert drawn(data, out, '--labelled', '2', '--seeds', '1', '2') == 0
    assert (out / 'seed2/labelled_2.txt').is_file()
    # Without test images those of the other draw are no test set.
    held_out = tmp_path / 'held_out'
    assert drawn(data, held_out, '--labelled', '2', '--test', '/val/') == 0
    (held_out / 'train.txt').unlink()
    assert drawn(data, held_out, '--labelled', '2', '--seeds', '1') == 2
    assert 'test.txt: is there already, of another draw' in capsys.readouterr().err


def test_class_of_no_image_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    args = ('--labelled', '2', '--out', tmp_path / 'out', '--classes', *'abcd')
    assert run(data, *args) == 0
    assert 'train.txt: no pixel of d in any image' in capsys.readouterr().err


@pytest.mark.parametrize('dataset', SIZES)
def test_lists_of_the_configs(dataset: str) -> None:
    folder = LISTS / dataset
    train, test = read(folder / 'train.txt'), read(folder / 'test.txt')
    counts = {'hrsc_ships': (300, 80), 'dubai': (49, 14), 'korea_s2': (15, 5)}
    assert (len(train), len(test)) == counts[dataset]
    seeds = range(10 if dataset == 'hrsc_ships' else 5)
    images = {image for image, _ in train}
    assert len(images) == len(train)
    assert not images & {image for image, _ in test}
    assert sorted(path.name for path in folder.glob('seed*')) == [
        f'seed{seed}' for seed in seeds
    ]
    smallest = set()
    for seed in seeds:
        home, inner = folder / f'seed{seed}', []
        record = json.loads((home / 'split.json').read_text())
        assert record['seed'] == seed
        assert f'--out configs/_base_/splits/{dataset}' in record['command']
        for size, count in SIZES[dataset].items():
            labelled = read(home / f'labelled_{size}.txt')
            rest = [line[0] for line in read(home / f'unlabelled_{size}.txt')]
            assert len(labelled) == count
            assert all(line in train for line in labelled)
            assert all(line in labelled for line in inner)
            assert sorted([*rest, *(image for image, _ in labelled)]) == sorted(images)
            shares = record['parts'][f'labelled_{size}']['class_shares']
            assert min(shares.values()) > 0
            inner = labelled
        if dataset == 'hrsc_ships':
            order = draw_order([image for image, _ in train], seed)
            assert sorted(inner) == sorted(train[index] for index in order[:20])
        first = next(iter(SIZES[dataset]))
        smallest.add((home / f'labelled_{first}.txt').read_text())
    assert len(smallest) == len(seeds)


def test_dubai_holds_two_images_of_each_tile_out() -> None:
    held_out = [Path(image).stem for image, _ in read(LISTS / 'dubai/test.txt')]
    assert held_out == [
        f'tile{tile}_00{part}' for tile in range(1, 8) for part in (3, 7)
    ]
