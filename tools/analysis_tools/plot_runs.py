"""Draw the curves of one or several runs into a PNG.

Example::

    python tools/analysis_tools/plot_runs.py \
        --runs supervised=work_dirs/sup_0,work_dirs/sup_1 fixmatch=work_dirs/fm_0 \
        --keys loss mask_ratio mIoU --out curves.png
"""

from __future__ import annotations

import argparse

from s5_mm.cli.arguments import named_run
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.visualization import plot_runs


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument(
        '--runs',
        nargs='+',
        type=named_run,
        required=True,
        metavar='NAME=PATH[,PATH]',
        help='work directories (or scalars.json); several paths are seeds of one curve',
    )
    parser.add_argument('--keys', nargs='+', default=['loss', 'mIoU'])
    parser.add_argument('--out', default='curves.png', help='PNG to write')
    parser.add_argument('--title', default='')
    parser.add_argument(
        '--smooth', type=int, default=1, help='running mean over so many logged values'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    print(plot_runs(dict(args.runs), args.keys, args.out, args.title, args.smooth))


if __name__ == '__main__':
    start_command(main)
