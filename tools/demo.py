"""Curate and pre-train on drawn scenes, and set supervised-only beside FixMatch.

Draws a few labelled and many unlabelled scenes, trains an initial model on the
labels, lets it choose half of the unlabelled scenes, and continues it, once on the
labels alone and once with FixMatch on what was chosen.  Ends with both mIoU, pictures,
curves and the report of the choice in the work directory.  How many iterations fit into
the time is measured first.  Interrupted, the next call goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import time

if __name__ == '__main__':
    # The imports take seconds: say at once what there is to wait for.
    print('loading torch and s5_mm', flush=True)

from s5_mm.cli.command import CommandParser, start_command  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--work-dir', default='work_dirs/demo')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--fresh', action='store_true', help='start anew instead of going on'
    )
    parser.add_argument(
        '--scenes',
        type=int,
        nargs=3,
        default=(16, 400, 80),
        metavar=('LABELLED', 'UNLABELLED', 'VAL'),
    )
    parser.add_argument(
        '--iters',
        type=int,
        nargs=2,
        metavar=('INITIAL', 'CONTINUED'),
        help='iterations of the initial model, and of each way to continue it; by '
        'default as many as the minutes allow, at most 800 500 in ten',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=10,
        help='how long the demo may take, in minutes (%(default)s)',
    )
    args = parser.parse_args(argv)
    if not 0 < args.minutes < float('inf'):
        parser.error(f'--minutes {args.minutes:g}, expected is a time above 0')
    return args


def _interrupt(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> None:
    """Run the demo."""
    args = parse_args(argv)
    args.work_dir = os.path.abspath(args.work_dir)
    if args.fresh and os.path.exists(args.work_dir):
        if not os.path.isfile(os.path.join(args.work_dir, 'state.json')):
            raise ValueError(
                f'--fresh: {args.work_dir} has no state.json, so it is no work '
                'directory of the demo and is not removed'
            )
        shutil.rmtree(args.work_dir)
    signal.signal(signal.SIGTERM, _interrupt)
    start = time.time()
    try:
        # Imported here: wrong arguments are refused without it.
        from demo_steps import Demo

        Demo(args).run()
    except KeyboardInterrupt:
        print('interrupted; the same command goes on from here', flush=True)
        raise SystemExit(130) from None
    print(f'{time.time() - start:.0f} s in all')


if __name__ == '__main__':
    start_command(main)
