"""A split that is killed, and the next one that goes on."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")

from s5_mm.cli.command import run_command
from s5_mm.datasets.patches import PatchSplitter  # noqa: E402
from s5_mm.io import atomic  # noqa: E402
from s5_mm.io.process_pool import map_unordered  # noqa: E402

from .boxes import dota, tree  # noqa: E402

TOOL = Path(__file__).parents[3] / 'tools' / 'dataset_converters' / 'dota_split.py'
OPTIONS = ['--sizes', '64', '--gaps', '32']
LEFTOVER = '.tmp-'


def start(
    dst: Path, src: Path, jobs: int, prepare: Callable[[], None] = lambda: None
) -> BaseProcess:
    """The command in a process of its own."""
    main = runpy.run_path(str(TOOL))['main']

    def work() -> None:
        prepare()
        status = main([str(dst), '--src', str(src), *OPTIONS, '--jobs', str(jobs)])
        raise SystemExit(status)

    process = get_context('fork').Process(target=work)
    process.start()
    return process


def finish(process: BaseProcess) -> int | None:
    process.join(60)
    return process.exitcode


def slowly() -> None:
    """Make a process that writes a patch in 3 ms at least."""
    write = PatchSplitter._write

    def wait_and_write(*args: object) -> None:
        time.sleep(0.003)
        write(*args)

    PatchSplitter._write = wait_and_write


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, 'it did not happen in time'
        time.sleep(0.001)


def fields(pid: int) -> list[str]:
    """State, parent and so on of a process; nothing if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return ['Z', '0']


def children(parent: int) -> list[int]:
    pids = [int(path.name) for path in Path('/proc').glob('[0-9]*')]
    return [pid for pid in pids if fields(pid)[1] == str(parent)]


def whole_files(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(root).items() if LEFTOVER not in name}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return dota(tmp_path / 'src', [(500, 400), (400, 500), (300, 300)])


@pytest.fixture
def expected(tmp_path: Path, src: Path) -> dict[str, bytes]:
    """What a run without kills leaves."""
    assert finish(start(tmp_path / 'whole', src, 1)) == 0
    made = tree(tmp_path / 'whole')
    assert sum(name.startswith('annfiles') for name in made) == 441
    return made


def test_killed_before_a_file_gets_its_name(
    tmp_path: Path, src: Path, expected
) -> None:
    """The record, an image without annotation, an annotation, and later ones."""
    dst, replace = tmp_path / 'killed', os.replace
    for last in (0, 1, 2, 100, 301):

        def prepare(last: int = last) -> None:
            calls = iter(range(last))

            def replace_or_die(*args: object) -> None:
                if next(calls, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                replace(*args)

            atomic.os.replace = replace_or_die

        assert finish(start(dst, src, 1, prepare)) == -signal.SIGKILL
        found = whole_files(dst)
        assert found.items() <= expected.items()
        assert len(found) < len(expected)
        assert any(LEFTOVER in name for name in tree(dst))
    assert finish(start(dst, src, 1)) == 0
    assert tree(dst) == expected


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='needs /proc')
def test_workers_end_with_the_killed_command(
    tmp_path: Path, src: Path, expected
) -> None:
    dst = tmp_path / 'killed'
    anns = dst / 'annfiles'
    for share in (0.01, 0.2, 0.4):
        process = start(dst, src, 2, slowly)
        until(lambda pid=process.pid: len(children(pid)) == 2)
        workers = children(process.pid)
        until(lambda share=share: anns.is_dir() and len(os.listdir(anns)) > share * 441)
        os.kill(process.pid, signal.SIGKILL)
        assert finish(process) == -signal.SIGKILL
        try:
            until(lambda workers=workers: all(fields(pid)[0] == 'Z' for pid in workers))
        finally:
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        found = whole_files(dst)
        assert found.items() <= expected.items()
        assert len(found) < len(expected)
    assert finish(start(dst, src, 2)) == 0
    assert tree(dst) == expected


def die(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def test_workers() -> None:
    items = [1, 2, 4, 5, 6, 7, 8]
    assert sorted(map_unordered(die, items, 2)) == [item * item for item in items]
    assert list(map_unordered(die, [2, 1], 1)) == [4, 1]
    with pytest.raises(BrokenProcessPool):
        list(map_unordered(die, range(20), 2))


def test_killed_worker_is_reported(src: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(PatchSplitter, '_write', lambda *_: die(3))
    main = runpy.run_path(str(TOOL))['main']
    args = [str(tmp_path / 'dst'), '--src', str(src), *OPTIONS, '--jobs', '2']
    assert run_command(main, args) == 1
    error = capsys.readouterr().err
    assert 'a process was killed, for lack of memory most often' in error
    assert '--jobs below 2' in error
