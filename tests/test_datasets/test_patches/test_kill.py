"""A split that is killed, and the next one that goes on."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")

from s5_mm.datasets.patches.workers import map_unordered  # noqa: E402

from .boxes import dota, tree  # noqa: E402

TOOL = Path(__file__).parents[3] / 'tools' / 'dataset_converters' / 'dota_split.py'
FORK = get_context('fork')


def start(dst: Path, src: Path, jobs: int):
    """The command in a process of its own."""
    args = [str(dst), '--src', str(src), '--sizes', '64', '--gaps', '32']
    main = runpy.run_path(str(TOOL))['main']
    process = FORK.Process(target=main, args=([*args, '--jobs', str(jobs)],))
    process.start()
    return process


def until(condition, seconds: float = 30) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, 'it did not happen in time'
        time.sleep(0.001)


def children(pid: int) -> list[int]:
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(')')[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='needs /proc')
@pytest.mark.parametrize('jobs', [1, 2])
def test_killed_again_and_again(tmp_path: Path, jobs: int) -> None:
    src = dota(tmp_path / 'src', [(500, 400), (400, 500), (300, 300)])
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    process = start(whole, src, 1)
    process.join(60)
    expected = tree(whole)
    total = sum(name.startswith('annfiles') for name in expected)
    assert total > 300
    anns, seen = killed / 'annfiles', []
    for part in (0.01, 0.3, 0.6, 0.9):
        process = start(killed, src, jobs)
        until(lambda part=part: anns.is_dir() and len(os.listdir(anns)) > part * total)
        workers = children(process.pid)
        assert len(workers) == (0 if jobs == 1 else jobs)
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        # Nobody goes on writing without the parent.
        until(lambda workers=workers: not any(map(is_alive, workers)))
        seen.append(len(os.listdir(anns)))
        # Whatever has its name is whole.
        for path in killed.rglob('*'):
            if path.is_file() and '.tmp-' not in path.name:
                assert path.read_bytes() == expected[str(path.relative_to(killed))]
    assert seen[0] < total
    (killed / 'images' / 'P0000__64__0___0.png.tmp-1').write_bytes(b'half')
    process = start(killed, src, jobs)
    process.join(60)
    assert process.exitcode == 0
    assert tree(killed) == expected


def die(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def test_workers() -> None:
    assert sorted(map_unordered(die, [1, 2, 4, 5, 6, 7, 8], 2)) == [
        1,
        4,
        16,
        25,
        36,
        49,
        64,
    ]
    assert list(map_unordered(die, [2, 1], 1)) == [4, 1]
    from concurrent.futures.process import BrokenProcessPool

    with pytest.raises(BrokenProcessPool):
        list(map_unordered(die, range(20), 2))


def test_killed_worker_is_reported(tmp_path: Path, monkeypatch, capsys) -> None:
    src = dota(tmp_path / 'src', [(64, 64)] * 3)
    from s5_mm.datasets.patches import PatchSplitter

    monkeypatch.setattr(PatchSplitter, '_write', lambda *_: die(3))
    main = runpy.run_path(str(TOOL))['main']
    status = main(
        [str(tmp_path / 'dst'), '--src', str(src), '--sizes', '64', '--gaps', '0']
        + ['--jobs', '2']
    )
    assert status == 1
    assert 'a process was killed, for lack of memory' in capsys.readouterr().err
