"""Look at every file that a config's data sets name, before a run needs them.

    python tools/misc/verify_dataset.py CONFIG [--split all] [--full] [--json OUT]

Names each bad file with what was found and what was expected, prints the classes'
shares of the pixels per split, warns of a class without a pixel in any split, and exits
with status 1 if a file is bad or a single class has all the pixels.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import init_default_scope

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.datasets.config_report import SPLITS, check_config, report_lines


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='config file of a run')
    parser.add_argument('--split', choices=(*SPLITS, 'all'), default='all')
    parser.add_argument('--jobs', type=int, default=1, help='processes')
    parser.add_argument(
        '--full',
        action='store_true',
        help='decode the images too; without it their headers and ends are read, and '
        'every pixel of the masks',
    )
    parser.add_argument('--json', type=Path, help='write the report here')
    add_options_argument(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parse_args(argv)
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    splits = SPLITS if args.split == 'all' else (args.split,)
    reports = check_config(config, splits, args.jobs, args.full)
    if not reports:
        print(f'{args.config}: no data set for --split {args.split}', file=sys.stderr)
        return 2
    print('\n'.join(report_lines(reports)))
    if args.json:
        args.json.write_text(json.dumps(reports, indent=2) + '\n')
    return 1 if any(report['bad'] for report in reports) else 0


if __name__ == '__main__':
    start_command(main)
