"""Cut ISPRS Potsdam into the tiles of configs/_base_/datasets/potsdam.py.

    python tools/dataset_converters/potsdam.py DOWNLOADS data/potsdam

DOWNLOADS holds 2_Ortho_RGB.zip and 5_Labels_all_noBoundary.zip of the ISPRS (they come
in Potsdam.zip, which is unpacked first), or what is in them.  24 scenes are for
training, in tiles of 512 px every 256 px (12,696), 14 for validation, every 512 px
(2,016); the last tile of a row or column ends with the scene.  These are the release's
scenes and numbers.

Masks are stored as mmseg's conversion does: 0 for boundaries, 1 to 6 for the classes.
That script multiplies the number of a window by its size, not by the stride, so it
gives 144 different tiles of a training scene instead of 529; colours that it does not
know become 0 without a word; and it cannot go on after a stop.  So it is not called
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import SceneConverter
from s5_mm.datasets.conversion.colours import ISPRS_COLOURS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'


class Potsdam(SceneConverter):
    """Aerial images of 5 cm a pixel, 6000x6000 px."""

    name = 'potsdam'
    layout = """
2_Ortho_RGB.zip              top_potsdam_2_10_RGB.tif, ...
5_Labels_all_noBoundary.zip  top_potsdam_2_10_label_noBoundary.tif, ...
with --labels full: 5_Labels_all.zip  top_potsdam_2_10_label.tif, ...
packed, or unpacked to any folder; Potsdam.zip, which holds them, is unpacked first"""
    images = r'top_potsdam_(\d+_\d+)_RGB\.tif'
    masks = {
        'eroded': r'top_potsdam_(\d+_\d+)_label_noBoundary\.tif',
        'full': r'top_potsdam_(\d+_\d+)_label\.tif',
    }
    scenes = {
        split: names.split()
        for split, names in (
            (
                'train',
                '2_10 2_11 2_12 3_10 3_11 3_12 4_10 4_11 4_12 5_10 5_11 5_12 '
                '6_7 6_8 6_9 6_10 6_11 6_12 7_7 7_8 7_9 7_10 7_11 7_12',
            ),
            (
                'val',
                '2_13 2_14 3_13 3_14 4_13 4_14 4_15 5_13 5_14 5_15 6_13 6_14 6_15 7_13',
            ),
        )
    }
    strides = {'train': 256, 'val': 512}
    colours = ISPRS_COLOURS
    config = CONFIGS / 'potsdam.py'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(Potsdam(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
