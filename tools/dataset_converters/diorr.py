"""Put DIOR-R into the layout of configs/_base_/datasets/diorr.py.

    python tools/dataset_converters/diorr.py DOWNLOADS data/DIOR

DOWNLOADS holds JPEGImages-trainval.zip, JPEGImages-test.zip, Annotations.zip and
ImageSets.zip of the owners, or what is in them.  Files are taken over as they are;
ImageSets/Main/trainval.txt, which some copies lack, is train.txt and val.txt together.
mmrotate has no converter of this data set, it reads the same files.
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
    LayoutError,
    Plan,
    SourceTree,
    dataset_config,
    lacking,
)

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/diorr.py'
BOXES = 'Annotations/Oriented Bounding Boxes'
SPLITS = ('trainval', 'test')


class DiorR(Converter):
    """Oriented boxes of 20 classes on images of 800x800 px."""

    name = 'diorr'
    layout = """
JPEGImages-trainval.zip  JPEGImages-trainval/00001.jpg, ...
JPEGImages-test.zip      JPEGImages-test/11726.jpg, ...
Annotations.zip          Annotations/Oriented Bounding Boxes/00001.xml, ...
ImageSets.zip            ImageSets/Main/train.txt, val.txt, test.txt
packed, or unpacked to folders of these names"""

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        images = tree.find_unique(r'JPEGImages-(trainval|test)/(\d{5})\.jpg')
        boxes = tree.find_unique(r'Oriented Bounding Boxes/(\d{5})\.xml')
        lists = _lists(tree)
        jobs, missing = [], []
        for split in SPLITS:
            names = lists.get(split, [])
            for name in names:
                image, box = images.get((split, name)), boxes.get((name,))
                if image:
                    jobs.append(CopyFile(image, f'JPEGImages-{split}/{name}.jpg'))
                if box:
                    jobs.append(CopyFile(box, f'{BOXES}/{name}.xml'))
            there = {name for part, name in images if part == split}
            missing += lacking(f'images of {split}.txt', names, there)
            missing += lacking(f'boxes of {split}.txt', names, {n for (n,) in boxes})
        if not args.partial:
            missing += lacking('lists', [f'{s}.txt' for s in SPLITS], _files(lists))
        texts = {
            f'ImageSets/Main/{split}.txt': ''.join(f'{name}\n' for name in names)
            for split, names in lists.items()
        }
        return Plan(jobs, missing, texts)

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        config = {'filter_cfg': None, 'test_mode': True}
        return {
            'trainval': dataset_config(CONFIG, 'diorr', 'train', args.dst, **config),
            'test': dataset_config(CONFIG, 'diorr', 'val', args.dst, **config),
        }

    def folder(self, split: str, args: argparse.Namespace) -> str:
        """See :class:`Converter`."""
        return f'JPEGImages-{split}'


def _lists(tree: SourceTree) -> dict[str, list[str]]:
    """Read which images belong to a split."""
    lists = {}
    for (split,), file in tree.find_unique(r'Main/(\w+)\.txt').items():
        if split.lower() not in ('train', 'val', 'trainval', 'test'):
            continue  # of a single class
        names = file.read().decode('utf-8', 'replace').split()
        wrong = [name for name in names if not (name.isdecimal() and len(name) == 5)]
        if wrong:
            raise LayoutError(f'{file.name}: {wrong[0]!r}, expected five digits a line')
        lists[split.lower()] = names
    if 'trainval' not in lists and {'train', 'val'} <= set(lists):
        lists['trainval'] = sorted(lists['train'] + lists['val'])
    return lists


def _files(lists: dict[str, list[str]]) -> set[str]:
    """Name the files of lists."""
    return {f'{split}.txt' for split in lists}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(DiorR(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
