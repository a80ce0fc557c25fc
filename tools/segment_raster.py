"""Segment an image of any size into a GeoTIFF of labels.

    python tools/segment_raster.py CONFIG CHECKPOINT IN OUT

IN is a PNG, JPEG, TIFF, GeoTIFF or COG, OUT a tiled GeoTIFF with the georeference of IN
and the palette of the classes.  Windows are those of the config's ``test_cfg`` or of
``--crop-size`` and ``--stride``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.inference import load_network, segment_raster
from s5_mm.io.progress import ProgressLine


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='config of a segmentor')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('image', metavar='IN', help='the image')
    parser.add_argument('out', metavar='OUT', help='the GeoTIFF')
    parser.add_argument('--dataset', help='whose classes, of a model for several')
    parser.add_argument(
        '--crop-size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help="windows instead of the config's protocol; with --stride",
    )
    parser.add_argument('--stride', type=int, nargs=2, metavar=('H', 'W'))
    parser.add_argument(
        '--high-byte', action='store_true', help='upper 8 of 16-bit samples'
    )
    sides = dict(type=int, nargs=2, metavar=('LOW', 'HIGH'))
    text = 'samples of more than 8 bits that become 0 and 255, such as 0 2047'
    parser.add_argument('--sample-range', **sides, help=text)
    text = 'take no pixel for one without data because of an alpha band'
    parser.add_argument('--ignore-alpha', action='store_true', help=text)
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, ...')
    add_options_argument(parser)
    args = parser.parse_args(argv)
    if (args.crop_size is None) != (args.stride is None):
        parser.error('--crop-size and --stride go together')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Segment the image."""
    args = parse_args(argv)
    windows = args.crop_size and (args.crop_size, args.stride)
    network = load_network(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.dataset,
        args.device,
        windows,
    )
    progress = ProgressLine('segment', 'windows')
    options = dict(sample_range=args.sample_range, ignore_alpha=args.ignore_alpha)
    segment_raster(network, args.image, args.out, args.high_byte, progress, **options)
    print(f'written: {args.out}')


if __name__ == '__main__':
    start_command(main)
