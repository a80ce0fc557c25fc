"""Draw which images of a labelled data set keep their labels, as lists.

    python tools/misc/s4_splits.py data/dubai --classes building land road vegetation \
        water --labelled 1/8 1/4 --seeds 0 1 2 3 4 --stratify --out splits/dubai

Writes for every seed ``seed{N}/labelled_{size}.txt``, ``unlabelled_{size}.txt`` and a
record, ``split.json``, and once ``train.txt`` and ``test.txt``.  Splits of one seed are
nested.  ``SegDataset`` and ``UnlabelledDataset`` read the lists as ``ann_file`` with
``data_root`` as it was given here; ``data_prefix`` does not matter.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.datasets.own_images.own_labels import Classes, check_different, parse_class
from s5_mm.datasets.splits import parse_size, read_pool, resolve_sizes, write_splits
from s5_mm.io.path_table import IMAGE_SUFFIXES


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('data_root', help='folder that the lists are relative to')
    parser.add_argument('--img-dir', default='img_dir', help='images, sub-folders too')
    parser.add_argument('--ann-dir', default='ann_dir', help='masks of the same names')
    parser.add_argument('--img-suffix', nargs='+', default=IMAGE_SUFFIXES)
    parser.add_argument('--mask-suffix', default='.png')
    parser.add_argument(
        '--classes',
        nargs='+',
        required=True,
        metavar='NAME[=VALUE]',
        help='in the order of their ids, with the value that the masks hold if that is '
        'not the id',
    )
    parser.add_argument(
        '--ignore', nargs='+', type=int, default=[], help='values that are no class'
    )
    parser.add_argument(
        '--labelled',
        nargs='+',
        required=True,
        metavar='N|SHARE',
        help='images that keep their labels: a number such as 5, a share such as 1/8',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument(
        '--test',
        metavar='REGEX',
        help='hold out the images in whose name, such as img_dir/val/0001.jpg, this is '
        'found',
    )
    parser.add_argument(
        '--exclude',
        metavar='REGEX',
        help='leave these images out, such as the test images of other splits',
    )
    parser.add_argument(
        '--stratify',
        action='store_true',
        help='draw until every class is in the smallest split',
    )
    parser.add_argument(
        '--min-pixels',
        type=int,
        default=1,
        help='with --stratify: pixels that a class needs to count as in an image',
    )
    parser.add_argument('--jobs', type=int, default=1, help='processes')
    parser.add_argument('--out', type=Path, required=True, help='folder of the lists')
    args = parser.parse_args(argv)
    # Seed s also draws the training, whose generators take 32 bits.
    allowed = all(0 <= seed < 2**32 for seed in args.seeds)
    if not allowed or len(set(args.seeds)) < len(args.seeds):
        parser.error(
            f'--seeds {" ".join(map(str, args.seeds))}: expected different whole '
            'numbers from 0 to 2**32 - 1'
        )
    for name in ('min_pixels', 'jobs'):
        if getattr(args, name) < 1:
            option = '--' + name.replace('_', '-')
            parser.error(f'{option} {getattr(args, name)}: expected at least 1')
    return args


def read_classes(args: argparse.Namespace) -> Classes:
    """Read names and values of the classes."""
    given = [parse_class(text) for text in args.classes]
    values = [value for _, value in given if value is not None]
    if values and (
        len(values) < len(given) or any(isinstance(value, tuple) for value in values)
    ):
        raise ValueError(
            f'--classes {" ".join(args.classes)}: expected names alone, or NAME=VALUE '
            'for each with a value in 0..255'
        )
    check_different(given)
    names = tuple(name for name, _ in given)
    if both := sorted(set(args.ignore) & set(values or range(len(names)))):
        raise ValueError(
            f'--ignore {" ".join(map(str, both))}: the value of a class of --classes; '
            'expected values that are no class'
        )
    return Classes(names, tuple(values) or None, tuple(args.ignore))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    sizes = [parse_size(text) for text in args.labelled]
    classes = read_classes(args)
    images, _ = read_pool(
        args.data_root,
        args.jobs,
        data_prefix={'img_path': args.img_dir, 'seg_map_path': args.ann_dir},
        img_suffix=args.img_suffix,
        seg_map_suffix=args.mask_suffix,
        metainfo={'classes': classes.names},
        label_map=classes.label_map,
    ).divide(args.exclude, '--exclude')
    pool, test = images.divide(args.test, '--test')
    # The record says how to draw it again, not where the data were.
    given = sys.argv[1:] if argv is None else argv
    name = Path(args.data_root).resolve().name
    command = shlex.join([name if text == args.data_root else text for text in given])
    records = write_splits(
        args.out,
        pool,
        test,
        resolve_sizes(sizes, len(pool.names)),
        args.seeds,
        args.min_pixels if args.stratify else None,
        {'command': f'python tools/misc/s4_splits.py {command}'},
    )
    there = records[0]['parts']['train']['images_with_class']
    if nowhere := [label for label, images in there.items() if not images]:
        print(
            f'WARNING {args.out / "train.txt"}: no pixel of {", ".join(nowhere)} in '
            'any image; are --classes those of the masks?',
            file=sys.stderr,
        )
    for record in records:
        folder = args.out / f'seed{record["seed"]}'
        for part, summary in record['parts'].items():
            if part.startswith('labelled_'):
                print(f'{folder / part}.txt: {describe(summary)}')
                warn(f'{folder / part}.txt', summary, there, args.stratify)


def describe(summary: Mapping[str, Any]) -> str:
    """Write how many images there are and what they show."""
    shares = summary['class_shares'].items()
    shown = ', '.join(f'{label} {share:.1%}' for label, share in shares)
    return f'{summary["images"]} images, {shown}'


def warn(
    file: str, summary: Mapping[str, Any], there: Mapping[str, int], stratified: bool
) -> None:
    """Name the classes of the training images that a split does not have."""
    counts = summary['images_with_class']
    absent = [label for label in there if there[label] and not counts[label]]
    if absent:
        hint = 'no choice was found that has' if stratified else '--stratify looks for'
        print(
            f'WARNING {file}: no pixel of {", ".join(absent)}; {hint} every class',
            file=sys.stderr,
        )


if __name__ == '__main__':
    start_command(main)
