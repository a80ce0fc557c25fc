"""Archives as a tree, jobs, the record of a destination, the table of counts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import zipfile
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from s5_mm.datasets.conversion import (
    ColourTable,
    CopyFile,
    LayoutError,
    SourceError,
    SourceFile,
    SourceTree,
)
from s5_mm.datasets.conversion.expected import read_expected
from s5_mm.datasets.conversion.job_runner import run_conversion, write_output
from s5_mm.datasets.conversion.record import (
    check_settings,
    locked,
    open_destination,
    read_plan,
)

from .archives import convert, encode, pack, picture, tree


def test_archives_are_folders_of_the_tree(tmp_path: Path) -> None:
    src = tmp_path / 'src'
    pack(
        src / 'b.ZIP', {'x/1.png': b'one', '__MACOSX/x/._1.png': b'', '.DS_Store': b''}
    )
    (src / 'a').mkdir()
    (src / 'a/2.png').write_bytes(b'two')
    (src / '.hidden').write_bytes(b'')
    (src / 'out').mkdir()
    (src / 'out/3.png').write_bytes(b'three')
    files = SourceTree(src, exclude=src / 'out').files
    assert [file.name for file in files] == ['a/2.png', 'b.ZIP/x/1.png']
    assert [file.read() for file in files] == [b'two', b'one']
    assert files[1].read(2) == b'on'
    for file in files:
        with file.on_disk(tmp_path / 'scratch') as path:
            assert Path(path).read_bytes() == file.read()
            assert path.endswith('.png')
    assert not list((tmp_path / 'scratch').iterdir())
    single = SourceTree(src / 'b.ZIP')
    assert [file.name for file in single.files] == ['b.ZIP/x/1.png']
    assert [m[1] for m, _ in single.find(r'X/(\d)\.PNG')] == ['1']
    assert not single.find(r'1\.pn')


@pytest.mark.parametrize(
    'name', ['../evil.png', 'a/../../evil.png', '/evil.png', 'C:/evil.png', '..\\e.png']
)
def test_members_cannot_leave_their_archive(name: str, tmp_path: Path) -> None:
    pack(tmp_path / 'src/a.zip', {name: b''})
    with pytest.raises(
        LayoutError, match=r'a\.zip: member .* leads out of the archive'
    ):
        SourceTree(tmp_path / 'src')


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match='none: there is no such folder or archive'):
        SourceTree(tmp_path / 'none')
    path = pack(tmp_path / 'src/a.zip', {'1.png': b'x' * 5000})
    data = path.read_bytes()
    path.write_bytes(data[:-60])
    with pytest.raises(LayoutError, match=r'a\.zip: this archive cannot be opened'):
        SourceTree(tmp_path / 'src')
    path.write_bytes(data[:100] + b'y' + data[101:])
    os.utime(path, ns=(1, 1))
    (file,) = SourceTree(tmp_path / 'src').files
    with pytest.raises(
        SourceError, match=r'a\.zip/1\.png: it cannot be read \(Bad CRC'
    ):
        file.read()
    path.unlink()
    with pytest.raises(SourceError, match='it cannot be read'):
        file.read()


def test_summary(tmp_path: Path) -> None:
    for number in range(15):
        (tmp_path / f'src/{number:02}').mkdir(parents=True)
        (tmp_path / f'src/{number:02}/a.jpg').write_bytes(b'')
    (tmp_path / 'src/00/more.tar').write_bytes(b'')
    (tmp_path / 'src/readme').write_bytes(b'')
    lines = SourceTree(tmp_path / 'src').summary().split('\n')
    assert [line.strip() for line in lines[:3]] == [
        '.: 1 without suffix',
        '00: 1 .jpg, 1 .tar',
        '01: 1 .jpg',
    ]
    assert [line.strip() for line in lines[-2:]] == ['...', 'unpack first: 00/more.tar']
    assert len(lines) == 14
    (tmp_path / 'empty').mkdir()
    assert SourceTree(tmp_path / 'empty').summary() == 'nothing'


def test_the_same_file_twice(tmp_path: Path) -> None:
    pack(tmp_path / 'src/a.zip', {'x/1.png': b''})
    (tmp_path / 'src/x').mkdir()
    (tmp_path / 'src/x/1.png').write_bytes(b'')
    found = SourceTree(tmp_path / 'src')
    with pytest.raises(LayoutError, match=r'both a\.zip/x/1\.png and x/1\.png are 1, '):
        found.find_unique(r'(\d)\.png')
    jobs = [CopyFile(file, 'out.png') for file in found.files]
    with pytest.raises(LayoutError, match=r'out\.png: both a\.zip/x/1\.png and x/1\.p'):
        run_conversion(jobs, tmp_path / 'dst', 1)


def test_colours_against_a_loop() -> None:
    table = ColourTable(((9, 9, 9), (0, 0, 1), (0, 1, 0), (255, 255, 255)))
    wanted = np.random.default_rng(0).integers(0, 4, (7, 5))
    pixels = np.array(table.colours, np.uint8)[wanted]
    assert table.apply(pixels, 'm').tolist() == [
        [table.colours.index(tuple(pixel)) for pixel in row] for row in pixels.tolist()
    ]
    assert table.apply(pixels[:0], 'm').shape == (0, 5)
    pixels[:2] = (0, 0, 2)
    pixels[3, 3] = (1, 0, 0)
    message = (
        r'm: colour\(s\) \(0, 0, 2\) 10 px, \(1, 0, 0\) 1 px; allowed are \(9, 9, 9\), '
    )
    with pytest.raises(SourceError, match=message):
        table.apply(pixels, 'm')
    zero = ColourTable(table.colours, 'zero').apply(pixels, 'm')
    assert (zero[:2] == 0).all()
    assert zero[3, 3] == 0
    np.testing.assert_array_equal(zero[4:], wanted[4:])


def test_record(tmp_path: Path) -> None:
    dst = tmp_path / 'dst'
    with pytest.raises(LayoutError, match='so nothing was converted to this folder'):
        check_settings(dst, {})
    with locked(dst):
        open_destination(dst, {'size': 5})
    open_destination(dst, {'size': 5})
    with pytest.raises(LayoutError, match='size was 5, now it is 6; expected the same'):
        open_destination(dst, {'size': 6})
    with pytest.raises(LayoutError, match=r'no outputs\.txt; the conversion stopped'):
        read_plan(dst)
    for text in ('{', '[]'):
        (dst / 'conversion.json').write_text(text)
        with pytest.raises(LayoutError, match='is no record of a conversion'):
            check_settings(dst, {'size': 5})
    (dst / 'conversion.json').unlink()
    (dst / 'a.png').write_bytes(b'')
    with pytest.raises(LayoutError, match=r'it has files, a\.png for one, but no conv'):
        open_destination(dst, {'size': 5})


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(LayoutError, match='another conversion writes to this folder'),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    'text', ['{', '[]', '{"b": {}}', '{"a": {"splits": {"train": {"images": "x"}}}}']
)
def test_table_of_counts(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'counts.json'
    assert read_expected('none', 'a') is None
    with pytest.raises(LayoutError, match='there is no such table of counts'):
        read_expected(path, 'a')
    path.write_text(text)
    with pytest.raises(LayoutError, match=r"counts\.json: no counts of 'a' \("):
        read_expected(path, 'a')


def test_command_line(tmp_path: Path, capsys) -> None:
    for argv, error in (
        ((tmp_path,), 'expected SRC and DST, found one folder'),
        ((tmp_path, tmp_path, '--verify'), '--verify looks at DST alone, found SRC'),
        ((tmp_path, tmp_path, '--verify', '--dry-run'), 'not allowed with argument'),
    ):
        assert convert('loveda', *argv) == 2
        assert error in capsys.readouterr().err


def test_the_table_of_the_repository_is_complete() -> None:
    path = Path(__file__).parents[3] / 'tools/dataset_converters/counts.json'
    table = json.loads(path.read_text())
    for name, entry in table.items():
        assert entry['source']
        for known in read_expected(path, name).values():
            assert known.images or known.scenes


class SlowCopy(CopyFile):
    """A copy that takes its time."""

    def make(self, wanted, scratch):
        time.sleep(0.01)
        yield from super().make(wanted, scratch)


class Deadly(CopyFile):
    """A copy during which the process is killed, as for lack of memory."""

    def make(self, wanted, scratch):
        os.kill(os.getpid(), signal.SIGKILL)
        yield


@pytest.fixture
def files(tmp_path: Path) -> list[SourceFile]:
    data = {f'{n}.png': encode(picture(n)) for n in range(60)}
    pack(tmp_path / 'src/a.zip', data)
    return SourceTree(tmp_path / 'src').files


def test_killed_with_two_processes(files: list[SourceFile], tmp_path: Path) -> None:
    """From outside, at any time; the workers end too and the next run goes on."""
    dst = tmp_path / 'dst'
    jobs = [SlowCopy(file, f'img/{file.member}') for file in files]
    for share in (0.1, 0.5):
        process = get_context('fork').Process(
            target=run_conversion, args=(jobs, dst, 2)
        )
        process.start()
        end = time.time() + 20
        while len(list(dst.glob('img/*.png'))) < share * len(files):
            assert time.time() < end, 'it did not happen in time'
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.join(20)
        for path in dst.glob('img/*.png'):
            with zipfile.ZipFile(files[0].path) as archive:
                assert path.read_bytes() == archive.read(path.name)
    assert run_conversion(jobs, dst, 2) == []
    with zipfile.ZipFile(files[0].path) as archive:
        wanted = {f'img/{name}': archive.read(name) for name in archive.namelist()}
    assert {k: v for k, v in tree(dst).items() if '.tmp-' not in k} == wanted


def test_worker_is_killed(files: list[SourceFile], tmp_path: Path, monkeypatch, capsys):
    with pytest.raises(BrokenProcessPool):
        run_conversion(
            [Deadly(file, file.member) for file in files], tmp_path / 'dst', 2
        )
    monkeypatch.setattr(CopyFile, 'make', Deadly.make)
    image = {'Train/Rural/images_png/0.png': b'', 'Train/Rural/images_png/1.png': b''}
    pack(tmp_path / 'loveda/Train.zip', image)
    args = (tmp_path / 'loveda', tmp_path / 'out', '--jobs', 2, '--counts', 'none')
    assert convert('loveda', *args) == 1
    error = capsys.readouterr().err
    assert 'a process was killed, for lack of memory most often' in error
    assert '--jobs below 2' in error


def test_full_disk(files: list[SourceFile], tmp_path: Path, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    pack(tmp_path / 'loveda/Train.zip', {'Train/Rural/images_png/0.png': b'x'})
    monkeypatch.setattr(os, 'fsync', fail)
    args = (tmp_path / 'loveda', tmp_path / 'out', '--jobs', 1, '--counts', 'none')
    assert convert('loveda', *args) == 1
    assert 'No space left on device; start again to go on' in capsys.readouterr().err
    with contextlib.suppress(FileNotFoundError):
        assert not list((tmp_path / 'out').glob('*.tmp-*'))


def test_sidecars_of_a_file_that_is_replaced_go(tmp_path: Path) -> None:
    for name in ('a.png', 'a.png.aux.xml', 'a.png.ovr', 'b.png.ovr'):
        (tmp_path / name).write_bytes(b'old')
    write_output(tmp_path / 'a.png', b'new')
    assert (tmp_path / 'a.png').read_bytes() == b'new'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.png', 'b.png.ovr']
