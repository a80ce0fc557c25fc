"""Time the splitter of large images beside mmrotate's.

    python tools/analysis_tools/benchmark_dota_split.py [--images 8] [--side 4000]

Draws images (``s5_mm.testing``), then runs both commands on them in turn, in processes
of their own: whole splits with one process and with two, ours once more with nothing to
do, and ours with --verify; and the memory that a process of each takes at most.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.testing import dota_text, draw_scene

OURS = Path(__file__).parents[1] / 'dataset_converters/dota_split.py'


def draw(root: Path, count: int, side: int) -> None:
    """Write images of one scene each, repeated, with the objects of the first.

    Args:
        root: Folder that gets ``images/`` and ``labelTxt/``.
        count: How many.
        side: Of an image, in pixels.
    """
    for folder in ('images', 'labelTxt'):
        (root / folder).mkdir(parents=True)
    times = -(-side // 512)
    for number in range(count):
        scene = draw_scene(0, number, size=512)
        image = np.tile(scene.image, (times, times, 1))[:side, :side]
        cv2.imwrite(str(root / f'images/P{number:04}.png'), image[..., ::-1])
        (root / f'labelTxt/P{number:04}.txt').write_text(dota_text(scene.boxes))


def host() -> Path:
    """Find mmrotate's splitter."""
    import mmrotate

    return Path(mmrotate.__file__).parent / '.mim/tools/data/dota/split/img_split.py'


#: Runs a script, then prints the memory of its largest process, in KiB.
MEASURE = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, '-W', 'ignore', *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def run(*command: object) -> tuple[float, float]:
    """Run a Python script.

    Args:
        *command: The script and its arguments.

    Returns:
        Seconds, and GB of the largest process.

    Raises:
        SystemExit: If it fails.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, '-c', MEASURE, *map(str, command)],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:] or done.stdout[-2000:])
    seconds = time.perf_counter() - start
    return seconds, int(done.stdout.split()[-1]) * 1024 / 1e9


def main(argv: Sequence[str] | None = None) -> None:
    """Print smallest and largest times."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--side', type=int, default=4000)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--jobs', type=int, nargs='+', default=[1, 2])
    args = parser.parse_args(argv)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        src, dst = Path(folder) / 'src', Path(folder) / 'dst'
        draw(src, args.images, args.side)
        for _ in range(args.rounds):
            for jobs in args.jobs:
                ours = (OURS, dst, '--src', src, '--jobs', jobs)
                found[f'ours, {jobs} jobs'].append(run(*ours))
                found[f'ours again, {jobs} jobs'].append(run(*ours))
                found[f'ours, verify, {jobs} jobs'].append(run(*ours, '--verify'))
                patches = len(list((dst / 'images').iterdir()))
                shutil.rmtree(dst)
                found[f"mmrotate's, {jobs} jobs"].append(
                    run(
                        *(host(), '--img-dirs', src / 'images'),
                        *('--ann-dirs', src / 'labelTxt', '--sizes', 1024),
                        *('--gaps', 200, '--nproc', jobs, '--save-dir', dst),
                    )
                )
                shutil.rmtree(dst)
    print(f'{args.images} images of {args.side} px, {patches} patches')
    for name, runs in found.items():
        seconds, memory = zip(*runs, strict=True)
        print(f'{name:24}{min(seconds):7.1f}-{max(seconds):.1f} s{max(memory):8.2f} GB')


if __name__ == '__main__':
    start_command(main)
