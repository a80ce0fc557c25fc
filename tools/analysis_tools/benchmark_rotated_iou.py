"""Compare the IoU and the suppression of rotated boxes with mmcv's.

    python tools/analysis_tools/benchmark_rotated_iou.py

Pairs of random boxes whose edges lie on one line, or nearly: for each kind, how many
get an IoU that is off by more than 0.01, and by how much.  What is right is known
without either: the IoU of a box with itself is 1, of one shifted along its own axis or
of another width a ratio of lengths.  Then the time of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmcv.ops import box_iou_rotated, nms_rotated

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.evaluation.rotated_overlaps import near_pairs, nms_order, pair_ious


def boxes(rng: np.random.Generator, count: int, extent: float) -> np.ndarray:
    """Draw boxes with sides of 8 to 120 px.

    Args:
        rng: Where the draws come from.
        count: How many.
        extent: Side of the image in pixels.

    Returns:
        (cx, cy, w, h, angle in radians), float32, shape (count, 5).
    """
    centres = rng.uniform(0, extent, (count, 2))
    sides = rng.uniform(8, 120, (count, 2))
    angles = rng.uniform(-np.pi / 2, np.pi / 2, (count, 1))
    return np.hstack([centres, sides, angles]).astype(np.float32)


def partners(
    rng: np.random.Generator, own: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Make the second box of each pair.

    Args:
        rng: Where the draws come from.
        own: The first boxes, shape (n, 5).

    Returns:
        By kind: boxes, shape (n, 5), and the IoU that is right, shape (n,).
    """
    rounded = own + rng.uniform(-5e-5, 5e-5, own.shape).astype(np.float32)
    shift = rng.uniform(0.1, 0.9, len(own))
    moved, wider = own.astype(np.float64), own.astype(np.float64)
    moved[:, 0] += shift * own[:, 2] * np.cos(own[:, 4])
    moved[:, 1] += shift * own[:, 2] * np.sin(own[:, 4])
    wider[:, 2] /= 1 - shift
    return {
        'rounding': (rounded, np.ones(len(own))),
        'shifted along its axis': (
            moved.astype(np.float32),
            (1 - shift) / (1 + shift),
        ),
        'wider': (wider.astype(np.float32), 1 - shift),
    }


def seconds(call: Callable[[], object], rounds: int = 5) -> str:
    """Time a call.

    Args:
        call: What is timed.
        rounds: How often.

    Returns:
        Smallest and largest time.
    """
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return f'{min(times):.2f}-{max(times):.2f} s'


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--pairs', type=int, default=20_000)
    parser.add_argument('--boxes', type=int, default=8_000, help='of the suppression')
    args = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    own = boxes(rng, args.pairs, 1000)
    for kind, (others, right) in partners(rng, own).items():
        line = f'{kind:24}'
        for name, found in (
            ('mmcv', _mmcv(own, others)),
            ('s5_mm', pair_ious(own, others)),
        ):
            error = np.abs(found - right)
            wrong = 100 * (error > 0.01).mean()
            line += f'{name}: {wrong:5.2f} % wrong, at most {error.max():.1e}   '
        print(line)
    pairs = own, partners(rng, own)['wider'][0]
    print(f'{args.pairs} pairs   mmcv {seconds(lambda: _mmcv(*pairs))}', end='   ')
    print(f's5_mm {seconds(lambda: pair_ious(*pairs))}')
    many = boxes(rng, args.boxes, 10_000)
    scores, labels = rng.random(args.boxes, np.float32), np.zeros(args.boxes, int)
    near = len(near_pairs(many, labels, many, labels)[0])
    given = torch.from_numpy(many), torch.from_numpy(scores)
    print(
        f'suppression of {args.boxes} boxes, {near} near pairs   '
        f'mmcv {seconds(lambda: nms_rotated(*given, 0.1), 2)}   '
        f's5_mm {seconds(lambda: nms_order(many, scores, labels, 0.1), 2)}'
    )


def _mmcv(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of each box with the other of its place, by mmcv."""
    first, second = torch.from_numpy(own), torch.from_numpy(others)
    return box_iou_rotated(first, second, aligned=True).numpy()


if __name__ == '__main__':
    start_command(main)
