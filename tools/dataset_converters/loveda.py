"""Put LoveDA into the layout of configs/_base_/datasets/loveda.py.

    python tools/dataset_converters/loveda.py DOWNLOADS data/loveDA

DOWNLOADS holds Train.zip, Val.zip and Test.zip of the owners, or what is in them.
Files are taken over as they are: masks keep 0 for no-data and 1 to 7 for the classes.

mmseg's converter of the same name gives the same tree.  It stops at an assertion where
one of the three archives is missing, takes twice the space while it unpacks them, and
cannot go on after a stop, so this one does not call it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import (
    Converter,
    CopyFile,
    Plan,
    SourceTree,
    dataset_config,
    lacking,
)

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/loveda.py'
# Numbers of the images, both domains together.
IMAGES = {'train': range(2522), 'val': range(2522, 4191), 'test': range(4191, 5987)}


class LoveDA(Converter):
    """Land cover of Chinese cities and their surroundings."""

    name = 'loveda'
    layout = """
Train.zip  Train/{Rural,Urban}/{images_png,masks_png}/<number>.png
Val.zip    Val/{Rural,Urban}/{images_png,masks_png}/<number>.png
Test.zip   Test/{Rural,Urban}/images_png/<number>.png
packed, or unpacked to folders of these names"""

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        folders = {'images_png': 'img_dir', 'masks_png': 'ann_dir'}
        jobs, found = [], {}
        pattern = r'(train|val|test)/(?:rural|urban)/(images_png|masks_png)/(\d+)\.png'
        for match, file in tree.find(pattern):
            split, kind, number = match[1].lower(), match[2].lower(), match[3]
            if split == 'test' and kind == 'masks_png':
                continue  # not published; some copies have empty ones
            jobs.append(CopyFile(file, f'{folders[kind]}/{split}/{number}.png'))
            found.setdefault((split, kind), set()).add(f'{number}.png')
        missing = []
        for split, known in IMAGES.items() if not args.partial else ():
            names = [f'{number}.png' for number in known]
            for kind in folders if split != 'test' else ('images_png',):
                what = f'{kind} of {split.title()}.zip'
                missing += lacking(what, names, found.get((split, kind), ()))
        return Plan(jobs, missing)

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        test = {'img_path': 'img_dir/test', 'seg_map_path': None}
        return {
            'train': dataset_config(CONFIG, 'loveda', 'train', args.dst),
            'val': dataset_config(CONFIG, 'loveda', 'val', args.dst),
            'test': dataset_config(CONFIG, 'loveda', 'val', args.dst, data_prefix=test),
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(LoveDA(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
