"""Time the stitching of sliding windows against mmseg's, and measure its memory.

python -m tools.benchmarks.benchmark_slide [--sides 1024 4096] [--classes 16]

1. Milliseconds a window until the mean scores are there: mmseg's ``slide`` and
   :func:`s5_mm.inference.banded_scores` on square images.  The network writes the
   scores of a whole batch anew at every call, into the same memory; the time of its
   calls is taken off.  mmseg pads the scores of each window to the image, so only some
   of its windows are run; making the canvas and the division at its end are left out
   there, while ours includes all of it.  Labels are timed apart.
2. Peak memory of a process that segments a tall image, and one of ``--tall`` times the
   height, whose rows are made when they are read.

One process, interleaved round by round in rotating order; ours runs twice a round, and
if these two differ by more than 3 % the measurement is rejected (exit status 3).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import mmseg.models.segmentors as host
import torch
from mmengine.config import ConfigDict
from torch import Tensor

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.inference import banded_scores, banded_slide
from s5_mm.models.segmentors.inference import window_starts

from .side_by_side import CLOCKS, Clock, control_holds, describe_machine, ratios

#: Segments rows that are made when they are read, and prints the largest memory in MB
#: before and after.
MEASURE = """
import sys
from pathlib import Path
import numpy as np, torch
from s5_mm.inference import banded_slide
def peak():
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(dict(line.split(':') for line in lines)['VmHWM'].split()[0]) / 1024
height, width, classes, crop, stride = map(int, sys.argv[1:])
class Rows:
    def read(self, start, stop):
        return np.zeros((min(stop, height) - start, width, 3), np.uint8)
scores = torch.randn(1, classes, min(crop, height), min(crop, width))
cfg = dict(mode='slide', crop_size=(crop, crop), stride=(stride, stride))
before, rows = peak(), 0
for labels in banded_slide(
    lambda images, metas: scores.repeat(len(images), 1, 1, 1),
    Rows(), cfg, (height, width), prepare=lambda windows: windows.float(),
):
    rows += len(labels)
assert rows == height
print(before, peak())
"""


class StubNetwork:
    """Writes random scores at every call, and notes the time that this takes.

    Args:
        args: The command line.
        side: Pixels of the image.
        clock: What tells the seconds.
    """

    def __init__(self, args: argparse.Namespace, side: int, clock: Clock) -> None:
        window = min(args.crop, side)
        count = min(args.window_batch, _windows(args, side))
        self._scores = torch.randn(1, args.classes, window, window)
        self._memory = self._scores.repeat(count, 1, 1, 1)
        self._clock = clock
        self.seconds = 0.0

    def __call__(self, images: Tensor, _: object) -> Tensor:
        """Give scores (N, K, h, w) of images (N, C, h, w)."""
        start = self._clock()
        scores = self._memory[: len(images)].copy_(self._scores)
        self.seconds += self._clock() - start
        return scores


class _EnoughError(Exception):
    """Ends mmseg's loop after the windows that are timed."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__.split('\n')[0], __file__)
    parser.add_argument('--sides', type=int, nargs='+', default=[1024, 4096])
    parser.add_argument('--classes', type=int, default=16)
    parser.add_argument('--crop', type=int, default=512, help='pixels')
    parser.add_argument('--stride', type=int, default=341, help='pixels')
    parser.add_argument('--window-batch', type=int, default=16, help='windows')
    parser.add_argument('--host-windows', type=int, default=2, help="of mmseg's")
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--tall', type=int, default=8, help='times the height')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--clock', default='cpu', choices=sorted(CLOCKS))
    return parser.parse_args(argv)


def ours(
    args: argparse.Namespace, side: int, clock: Clock, run: Callable = banded_scores
) -> float:
    """Return the seconds a window of ``run`` on a square image."""
    network, image = StubNetwork(args, side, clock), _image(side)
    cfg = dict(
        mode='slide',
        crop_size=(args.crop,) * 2,
        stride=(args.stride,) * 2,
        window_batch=args.window_batch,
    )
    # As many windows at every side, or a small image is over too soon to be timed.
    windows = _windows(args, side)
    images = max(round(_windows(args, max(args.sides)) / windows), 1)
    start, pixels = clock(), 0
    for _ in range(images):
        for part in run(network, image, cfg):
            pixels += (part.mean[0] if run is banded_scores else part).numel()
    seconds = clock() - start - network.seconds
    if pixels != images * side**2:
        raise SystemExit(f'{pixels} pixels came out of {images} images of {side}')
    return seconds / windows / images


def labels(args: argparse.Namespace, side: int, clock: Clock) -> float:
    """Return the seconds a window of :func:`banded_slide` on a square image."""
    return ours(args, side, clock, banded_slide)


def mmseg(args: argparse.Namespace, side: int, clock: Clock) -> float:
    """Return the seconds a window of mmseg's ``slide`` on a square image."""
    network, image = StubNetwork(args, side, clock), _image(side)
    # Of the calls, without the time of those before.
    seen: list[float] = []

    def encode_decode(images: Tensor, metas: list[dict]) -> Tensor:
        seen.append(clock() - network.seconds)
        # The first window meets pages of the canvas that are not there yet.
        if len(seen) == args.host_windows + 2:
            raise _EnoughError
        return network(images, metas)

    stub = SimpleNamespace(
        test_cfg=ConfigDict(
            crop_size=(args.crop,) * 2, stride=(args.stride,) * 2, mode='slide'
        ),
        out_channels=args.classes,
        encode_decode=encode_decode,
    )
    try:
        host.EncoderDecoder.slide_inference(stub, image[None], [{}])
    except _EnoughError:
        return (seen[-1] - seen[1]) / args.host_windows
    raise ValueError(
        f'{side} px have {len(seen)} windows, --host-windows={args.host_windows} '
        'needs two more than it times'
    )


def peak_growth(args: argparse.Namespace, side: int) -> tuple[float, float]:
    """Return the peak memory in MB for ``side`` rows, and for ``--tall`` times."""
    peaks = []
    for height in (side, side * args.tall):
        sizes = (height, side, args.classes, args.crop, args.stride)
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', MEASURE, *map(str, sizes)],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(float(done.stdout.split()[1]))
    return peaks[0], peaks[1]


def _windows(args: argparse.Namespace, side: int) -> int:
    """Count the windows of a square image."""
    return len(window_starts(side, args.crop, args.stride)) ** 2


def _image(side: int) -> Tensor:
    """Make a square image that takes no memory."""
    return torch.zeros(3, 1, 1).expand(3, side, side)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    clock = CLOCKS[args.clock]
    runs: dict[str, Callable[[], float]] = {}
    kinds = {
        'ours': ours,
        'ours again (A/A)': ours,
        'ours, with labels': labels,
        'mmseg': mmseg,
    }
    for side in args.sides:
        for name, run in kinds.items():
            runs[f'{name}, {side} px'] = lambda run=run, side=side: run(
                args, side, clock
            )
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for index in range(args.rounds + 1):
        for name in order:
            seconds = runs[name]()
            if index:
                times[name].append(seconds)
        order.append(order.pop(0))
    print(
        f'{args.classes} classes, windows of {args.crop} px every {args.stride}, fp32, '
        f'{args.window_batch} a batch, {args.rounds} rounds, {args.clock} time a window'
    )
    trusted, first = True, f'ours, {args.sides[0]} px'
    print(f'{"":28}{"min [ms]":>10}{f"/ {first}":>20}{"/ ours":>10}')
    for side in args.sides:
        own = f'ours, {side} px'
        for name in (f'{kind}, {side} px' for kind in kinds):
            print(
                f'{name:28}{min(times[name]) * 1e3:10.2f}'
                f'{ratios(times[first], times[name])[0]:20.2f}'
                f'{ratios(times[own], times[name])[0]:10.2f}'
            )
        trusted &= control_holds(times, own, f'ours again (A/A), {side} px')
    if args.tall:
        side = args.sides[-1]
        low, high = peak_growth(args, side)
        print(
            f'peak memory: {low:.0f} MB for {side} rows, {high:.0f} MB for '
            f'{side * args.tall} rows of {side} px: {high / low - 1:+.1%}'
        )
    print(describe_machine())
    return 0 if trusted else 3


if __name__ == '__main__':
    start_command(main)
