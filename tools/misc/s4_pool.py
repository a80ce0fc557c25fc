"""Mix images of another domain and spoiled tiles into a pool of unlabelled harbours.

    python tools/misc/s4_pool.py POOL --data FOLDER

FOLDER holds hrsc_ships/ and oam_tiles/.  POOL gets a link to hrsc_ships, tiles of
OpenAerialMap in other/, and in spoiled/ harbours and tiles with a defect each: flat,
empty, striped, saturated, without data.  The same arguments write the same bytes.
configs/curation/harbours_pool.py selects from the pool, configs/lab/selection.py trains
on what was selected.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.io.atomic import write_bytes
from s5_mm.io.images.read import read_image
from s5_mm.testing.defects import DEFECTS, encode_png, spoil

HARBOURS, TILES = 'hrsc_ships/img_dir/train', 'oam_tiles'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('pool', type=Path, help='folder to write')
    parser.add_argument('--data', type=Path, required=True, help='folder of the images')
    parser.add_argument(
        '--other', type=int, default=400, help='tiles of the other domain (%(default)s)'
    )
    parser.add_argument(
        '--spoiled', type=int, default=150, help='spoiled tiles (%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    for name in ('other', 'spoiled', 'seed'):
        if getattr(args, name) < 0:
            parser.error(f'--{name} {getattr(args, name)}, expected at least 0')
    for folder in (HARBOURS, TILES):
        if not (args.data / folder).is_dir():
            parser.error(f'--data {args.data}: there is no folder {folder} in it')
    return args


def draw(paths: Iterable[Path], root: Path, seed: int) -> list[Path]:
    """Shuffle files by a hash of their names, wherever they are.

    Args:
        paths: The files.
        root: Folder that the names are relative to.
        seed: Decides the order.

    Returns:
        The files.
    """

    def place(path: Path) -> str:
        name = f'{seed} {path.relative_to(root).as_posix()}'
        return hashlib.sha256(name.encode()).hexdigest()

    return sorted(paths, key=place)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pool."""
    args = parse_args(argv)
    harbours = draw((args.data / HARBOURS).glob('*.jpg'), args.data, args.seed)
    tiles = draw((args.data / TILES).rglob('*.png'), args.data, args.seed)
    count = args.spoiled // 2
    others, rest = tiles[: args.other], tiles[args.other :]
    for name, found, wanted in (
        ('other', tiles, args.other),
        ('spoiled', harbours, args.spoiled - count),
        ('spoiled', rest, count),
    ):
        if len(found) < wanted:
            raise ValueError(
                f'--{name} {getattr(args, name)}: {args.data} has {len(found)} images '
                f'for {wanted} of them'
            )
    for name in ('other', 'spoiled'):
        folder = args.pool / name
        if folder.exists():
            raise FileExistsError(
                f'{folder} is there already; remove it or choose another folder'
            )
        folder.mkdir(parents=True)
    for path in others:
        data = encode_png(read_image(str(path), alpha='drop'))
        write_bytes(args.pool / 'other' / path.name, data)
    sources = [*harbours[: args.spoiled - count], *rest[:count]]
    for number, path in enumerate(sources):
        kind = DEFECTS[number % len(DEFECTS)]
        generator = np.random.default_rng([args.seed, number])
        data = spoil(read_image(str(path), alpha='drop'), kind, generator)
        write_bytes(args.pool / 'spoiled' / f'{kind}_{number:04d}.png', data)
    link = args.pool / 'hrsc_ships'
    if not link.exists():
        link.symlink_to((args.data / 'hrsc_ships').resolve(), target_is_directory=True)
    print(f'{args.pool}: {len(others)} tiles of another domain, {len(sources)} spoiled')


if __name__ == '__main__':
    start_command(main)
