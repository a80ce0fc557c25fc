"""Look at a folder of images and masks, and write the configs of a first training run.

    python tools/new_dataset.py DATA --classes water land

DATA holds images/ and masks/, or img_dir/ and ann_dir/, with train/ and val/ in them or
without, or a.jpg next to a.png; an image and its mask share a name.  A mask has one
channel: 0 is the first class, 1 the second, ..., and 255 counts nowhere.  Images
without masks in DATA/unlabelled or --unlabelled help too.  No image is changed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.registry import init_default_scope

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.datasets.config_report import check_config, report_lines
from s5_mm.datasets.own_images import Prepared, Request, prepare

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = (
    'weights: none, a random start: enough for a few plain classes, far from what '
    'pre-training gives;\n  MAE on MillionAID, the S5 release, timm, hf:// and how to '
    'use them: docs/first_model.md#weights'
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('data', metavar='DATA', type=Path, help='folder of the images')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=[],
        metavar='NAME',
        help='names in the order of the ids; NAME=VALUE or NAME=#RRGGBB where masks '
        'hold other values or colours',
    )
    parser.add_argument('--name', help="of the config and of the run (DATA's name)")
    parser.add_argument(
        '--unlabelled', type=Path, metavar='DIR', help='folder of images without masks'
    )
    parser.add_argument('--images', metavar='DIR', help='folder of the images in DATA')
    parser.add_argument('--masks', metavar='DIR', help='folder of the masks in DATA')
    parser.add_argument(
        '--ignore',
        type=int,
        nargs='+',
        default=[],
        metavar='VALUE',
        help='values of the masks that count nowhere, besides 255',
    )
    parser.add_argument(
        '--convert-masks',
        action='store_true',
        help='write masks in colours as masks of ids into DATA/masks_ids/',
    )
    parser.add_argument(
        '--split',
        type=float,
        nargs='+',
        default=[80, 20],
        metavar='SHARE',
        help='shares of training, validation and, if wanted, test, where DATA has no '
        'folders of these names (80 20)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the split (0)')
    parser.add_argument(
        '--arch', choices=('t', 'b', 'l'), default='t', help='size of the ViT (t)'
    )
    parser.add_argument(
        '--iters', type=int, help='iterations (400; 600 with unlabelled images)'
    )
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint that the ViT starts from'
    )
    parser.add_argument(
        '--out',
        dest='target',
        metavar='DIR',
        type=Path,
        default=ROOT / 'configs/own',
        help='folder of the configs (configs/own)',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace configs of this name'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the configs, verify the data, and say what comes next."""
    args = parse_args(argv)
    wanted = {key: one for key, one in vars(args).items() if key in Request._fields}
    made = prepare(Request(bases=ROOT / 'configs/_base_', **wanted))
    leaf = _shown(made.files[1])
    config = load_config(str(made.files[1]))
    init_default_scope(config.default_scope)
    reports = check_config(config)
    print('\n'.join(report_lines(reports)))
    for note in made.notes:
        print(f'note: {note}')
    print('written:', *map(_shown, made.files))
    if args.weights is None:
        print(WEIGHTS)
    if any(report['bad'] for report in reports):
        print(f'{leaf}: mend what is BAD above before training', file=sys.stderr)
        return 1
    print('next:', *_next_commands(made, leaf), sep='\n  ')
    return 0


def _next_commands(made: Prepared, leaf: str) -> list[str]:
    """Write the commands that train and predict."""
    run = made.run
    checkpoint = f'work_dirs/{run.name}/iter_{run.iters}.pth'
    example = shlex.quote(made.example)
    return [
        f'python tools/train.py {leaf}',
        f'python tools/segment_raster.py {leaf} {checkpoint} {example} labels.tif',
        f'python tools/test.py {leaf} {checkpoint} --show-dir pictures',
    ]


def _shown(path: Path) -> str:
    """Write a path as one would type it here, for a shell."""
    here = Path.cwd()
    path = path.resolve()
    near = path.relative_to(here) if path.is_relative_to(here) else path
    return shlex.quote(str(near))


if __name__ == '__main__':
    start_command(main)
