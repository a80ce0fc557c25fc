"""Cut ISPRS Vaihingen into the tiles of configs/_base_/datasets/vaihingen.py.

    python tools/dataset_converters/vaihingen.py DOWNLOADS data/vaihingen

DOWNLOADS holds ISPRS_semantic_labeling_Vaihingen.zip and
ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip (they come in
Vaihingen.zip, which is unpacked first), or what is in them.  16 areas are for training,
17 for validation, in tiles of 512 px.

The release has 1,324 tiles for training and 398 for validation: as many as there are
multiples of 256 px, and of 512 px, inside the areas.  So a window starts at each of
them and is moved back to end with the area where it reaches beyond it; which of moving
and filling up the release did is not known.  In training the last window of a row or
column then comes twice; --no-repeats leaves the second one out (1,046 tiles).

Masks are stored as mmseg's conversion does: 0 for boundaries, 1 to 6 for the classes.
That script gives 344 tiles for training, takes colours that it does not know for 0
without a word, and cannot go on after a stop.  So it is not called here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import Plan, SceneConverter, SourceTree
from s5_mm.datasets.conversion.colours import ISPRS_COLOURS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'


class Vaihingen(SceneConverter):
    """Aerial images of 9 cm a pixel: near infrared, red and green."""

    name = 'vaihingen'
    layout = """
ISPRS_semantic_labeling_Vaihingen.zip
    top/top_mosaic_09cm_area1.tif, ...
ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip
    top_mosaic_09cm_area1_noBoundary.tif, ...
with --labels full: ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE.zip
    top_mosaic_09cm_area1.tif, ...
packed, or unpacked to folders of these names; Vaihingen.zip, which holds them, is
unpacked first"""
    images = r'top/top_mosaic_09cm_(area\d+)\.tif'
    masks = {
        'eroded': r'top_mosaic_09cm_(area\d+)_noBoundary\.tif',
        'full': r'[^/]*ground_truth_COMPLETE[^/]*/top_mosaic_09cm_(area\d+)\.tif',
    }
    scenes = {
        split: [f'area{number}' for number in numbers.split()]
        for split, numbers in (
            ('train', '1 3 5 7 11 13 15 17 21 23 26 28 30 32 34 37'),
            ('val', '2 4 6 8 10 12 14 16 20 22 24 27 29 31 33 35 38'),
        )
    }
    strides = {'train': 256, 'val': 512}
    colours = ISPRS_COLOURS
    config = CONFIGS / 'vaihingen.py'
    options = {
        **SceneConverter.options,
        '--no-repeats': {
            'action': 'store_true',
            'help': 'take the last window of a row or column once, as all others',
        },
    }

    def counts(self, args: argparse.Namespace) -> str:
        """See :class:`SceneConverter`."""
        return f'{self.name}, no repeats' if args.no_repeats else self.name

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`SceneConverter`."""
        self.rule = 'shifted' if args.no_repeats else 'repeated'
        return super().plan(tree, args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(Vaihingen(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
