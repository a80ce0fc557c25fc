"""LoveDA; on it also what all converters have in common."""

from __future__ import annotations

import os
import signal
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from s5_mm.io import atomic
from s5_mm.registry import DATASETS

from .archives import TOOLS, convert, counts, encode, ids, pack, picture, tree, unpack

CONFIG = TOOLS.parents[1] / 'configs/_base_/datasets/loveda.py'
NUMBERS = {'Train': (0, 1366), 'Val': (2522, 3514), 'Test': (4191, 5167)}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    for split, numbers in NUMBERS.items():
        members = {}
        for domain, number in zip(('Rural', 'Urban'), numbers, strict=True):
            folder = f'{split}/{domain}'
            members[f'{folder}/images_png/{number}.png'] = encode(picture(number))
            if split != 'Test':
                mask = encode(ids(number, 8))
                members[f'{folder}/masks_png/{number}.png'] = mask
        members[f'__MACOSX/{split}/._x.png'] = b'junk'
        pack(tmp_path / 'src' / f'{split}.zip', members)
    return tmp_path / 'src'


@pytest.fixture
def known(tmp_path: Path) -> str:
    size = (32, 24)
    return counts(
        tmp_path / 'known.json', 'loveda', train=(2, size), val=(2, size), test=(2,)
    )


def test_read_by_the_config(src: Path, tmp_path: Path, capsys) -> None:
    dst = tmp_path / 'dst'
    assert convert('loveda', src, dst, '--jobs', 1, '--counts', 'none') == 0
    out = capsys.readouterr().out
    assert 'train: 2 images (2 of 32x24)' in out
    for split, numbers in (('train', NUMBERS['Train']), ('val', NUMBERS['Val'])):
        config = Config.fromfile(str(CONFIG))['loveda'][split].to_dict()
        dataset = DATASETS.build(
            {
                **config,
                'data_root': str(dst),
                'pipeline': [{'type': 's5_mm.LoadImage'}, {'type': 's5_mm.LoadMask'}],
            }
        )
        assert len(dataset) == 2
        for index, number in enumerate(numbers):
            sample = dataset[index]
            np.testing.assert_array_equal(sample['img'], picture(number))
            # No-data is ignored, class k is stored as k + 1.
            wanted = (ids(number, 8).astype(int) - 1) % 256
            np.testing.assert_array_equal(sample['gt_seg_map'], wanted)
    pixels = np.bincount(
        np.concatenate([ids(number, 8).ravel() for number in NUMBERS['Train']])
    )
    line = f'agricultural{pixels[7]:>30,} px    {pixels[7] / (2 * 32 * 24):>7.2%}'
    assert line in out
    assert not (dst / 'ann_dir/test').exists()


def test_packed_or_not_and_any_number_of_processes(src: Path, tmp_path: Path) -> None:
    made = []
    folders = (src, unpack(src, tmp_path / 'unpacked'))
    for jobs, source in ((1, folders[0]), (2, folders[0]), (1, folders[1])):
        dst = tmp_path / f'dst{len(made)}'
        assert convert('loveda', source, dst, '--jobs', jobs, '--counts', 'none') == 0
        made.append(tree(dst))
    assert made[0] == made[1] == made[2]
    assert len(made[0]) == 10 + 2


def test_killed_at_any_write(src: Path, tmp_path: Path) -> None:
    whole, dst, replace = tmp_path / 'whole', tmp_path / 'killed', os.replace
    args = ('--jobs', 1, '--counts', 'none')
    assert convert('loveda', src, whole, *args) == 0

    def run(last: int | None) -> None:
        calls = iter(range(last))

        def replace_or_die(*names: object) -> None:
            if next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(*names)

        atomic.os.replace = replace_or_die
        convert('loveda', src, dst, *args)

    for last in (0, 1, 3, 5):
        process = get_context('fork').Process(target=run, args=(last,))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        found = {k: v for k, v in tree(dst).items() if '.tmp-' not in k}
        assert found.items() < tree(whole).items()
    assert convert('loveda', src, dst, *args) == 0
    assert tree(dst) == tree(whole)


def test_nothing_is_done_twice(src: Path, tmp_path: Path) -> None:
    dst = tmp_path / 'dst'
    assert convert('loveda', src, dst, '--jobs', 1, '--counts', 'none') == 0
    before = {path: path.stat().st_mtime_ns for path in dst.rglob('*.png')}
    gone = dst / 'img_dir/val/2522.png'
    gone.unlink()
    assert convert('loveda', src, dst, '--jobs', 1, '--counts', 'none') == 0
    after = {path: path.stat().st_mtime_ns for path in dst.rglob('*.png')}
    assert {path for path in before if after[path] != before[path]} == {gone}


def test_counts(src: Path, tmp_path: Path, known: str, capsys) -> None:
    """Counts that fit say nothing; those that do not name what is missing."""
    dst = tmp_path / 'dst'
    assert convert('loveda', src, dst, '--jobs', 1, '--counts', known) == 1
    out = capsys.readouterr().out
    assert (
        'images_png of Train.zip: 2,520 of 2,522 are not in the source: 1.png, 2.png, '
        '3.png, 4.png, 5.png, ...'
    ) in out
    assert 'images, expected' not in out
    wrong = counts(
        tmp_path / 'wrong.json',
        'loveda',
        train=(3, (32, 32)),
        val=(2, (32, 24)),
        test=(2,),
    )
    assert convert('loveda', '--verify', dst, '--jobs', 1, '--counts', wrong) == 1
    out = capsys.readouterr().out
    assert 'BAD train: 2 images, expected 3' in out
    assert 'BAD train: images 2 of 32x24 px, expected 32x32' in out
    assert 'BAD val' not in out
    # Splits that the table lacks, some or all, have no numbers to be compared with.
    for known_splits in ({'train': (2, (32, 24))}, {}):
        part = counts(tmp_path / 'part.json', 'loveda', **known_splits)
        assert convert('loveda', '--verify', dst, '--jobs', 1, '--counts', part) == 1
        out = capsys.readouterr().out
        assert 'images, expected' not in out
        assert f'{dst}: ' in out


def test_verify_names_what_is_wrong(src: Path, tmp_path: Path, capsys) -> None:
    dst = tmp_path / 'dst'
    args = ('--jobs', 1, '--counts', 'none')
    assert convert('loveda', src, dst, *args) == 0
    assert convert('loveda', '--verify', dst, *args) == 0
    assert 'good' in capsys.readouterr().out
    mask = dst / 'ann_dir/train/0.png'
    values = ids(0, 8)
    values[0, 0] = 9
    cv2.imwrite(str(mask), values)
    (dst / 'img_dir/val/stray.png').write_bytes(encode(picture(5)))
    (dst / 'ann_dir/val/2522.png').unlink()
    assert convert('loveda', '--verify', dst, *args) == 1
    out = capsys.readouterr().out
    assert f'BAD {mask}: mask value(s) 9 (1 px) outside the 7 classes' in out
    assert '1 files are missing: ann_dir/val/2522.png' in out
    assert '1 files belong to no file of the source: img_dir/val/stray.png' in out


def test_dry_run_writes_nothing(src: Path, tmp_path: Path, capsys) -> None:
    dst = tmp_path / 'dst'
    assert convert('loveda', src, dst, '--dry-run') == 1
    out = capsys.readouterr().out
    assert '10 files of the source would become' in out
    assert 'known: val has 1,669 images' in out
    assert '2,520 of 2,522 are not in the source' in out
    assert convert('loveda', src, dst, '--dry-run', '--counts', 'none') == 0
    assert not dst.exists()
