"""Put OpenEarthMap into the layout of configs/_base_/datasets/openearthmap.py.

    python tools/dataset_converters/openearthmap.py DOWNLOADS data/OpenEarthMap_wo_xBD
    python tools/dataset_converters/openearthmap.py DOWNLOADS data/OpenEarthMap --xbd

DOWNLOADS holds OpenEarthMap.zip of the owners, or what is in it: folders of regions,
train.txt, train_wo_xBD.txt and so on, and xbd_files.csv.  Images of the xBD regions are
not in it.  With --xbd they are taken from the archives of xBD, which lie in DOWNLOADS
too: xbd_files.csv names the image of each.  They are stored as TIFF without
coordinates; everything else is taken over as it is.

Without --xbd only what train_wo_xBD.txt and val_wo_xBD.txt name is taken, and what of
test.txt is not in xbd_files.csv: 2,303 images for training, 384 for validation, 1,151
of the test split, whose labels are not published; with it 3,000, 500 and 1,500.
mmseg has no converter of this data set.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import (
    Converter,
    CopyFile,
    LayoutError,
    Plan,
    ReencodeImage,
    SourceFile,
    SourceTree,
    dataset_config,
    lacking,
)

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/openearthmap.py'
SPLITS = ('train', 'val', 'test')


class OpenEarthMap(Converter):
    """Land cover of 97 regions."""

    name = 'openearthmap'
    layout = """
OpenEarthMap.zip
    aachen/images/aachen_1.tif, ...
    aachen/labels/aachen_1.tif, ...
    train.txt, train_wo_xBD.txt, val.txt, val_wo_xBD.txt, test.txt, xbd_files.csv
with --xbd also the archives of xBD with <disaster>_<number>_pre_disaster.png
packed, or unpacked to any folder"""
    options = {
        '--xbd': {
            'action': 'store_true',
            'help': 'with the regions of xBD, whose images come from its archives',
        }
    }

    def counts(self, args: argparse.Namespace) -> str:
        """See :class:`Converter`."""
        return f'{self.name}, xBD' if args.xbd else self.name

    def folder(self, split: str, args: argparse.Namespace) -> str:
        """See :class:`Converter`."""
        return _list(split, args.xbd)

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        files = tree.find_unique(r'([^/]+)/(images|labels)/(\1_[^/]+\.tif)')
        files = {(kind.lower(), name): f for (_, kind, name), f in files.items()}
        lists = _lists(tree, args.xbd)
        moved = _xbd(tree) if args.xbd else {}
        jobs, missing, texts = [], [], {}
        for split, names in lists.items():
            for kind in ('images', 'labels') if split != 'test' else ('images',):
                found = {}
                for name in names:
                    if (kind, name) in files:
                        found[name] = CopyFile
                    elif kind == 'images' and name in moved:
                        found[name] = ReencodeImage
                for name, job in found.items():
                    source = files.get((kind, name)) or moved[name]
                    jobs.append(job(source, f'{_region(name)}/{kind}/{name}'))
                what = f'{kind} of {_list(split, args.xbd)}'
                missing += lacking(what, names, found)
            texts[_list(split, args.xbd)] = ''.join(f'{n}\n' for n in names)
        if not args.partial:
            names = [_list(split, args.xbd) for split in SPLITS]
            missing += lacking('lists', names, texts)
        return Plan(jobs, missing, texts)

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        found = {}
        for split in SPLITS:
            changes = {'ann_file': _list(split, args.xbd)}
            if split == 'test':
                changes['data_prefix'] = {'img_path': '', 'seg_map_path': None}
            found[split] = dataset_config(
                CONFIG, 'openearthmap', 'train', args.dst, **changes
            )
        return found


def _list(split: str, xbd: bool) -> str:
    """Name the list of a split."""
    return f'{split}.txt' if xbd else f'{split}_wo_xBD.txt'


def _region(name: str) -> str:
    """Tell the region of an image."""
    return name.rpartition('_')[0]


def _lists(tree: SourceTree, xbd: bool) -> dict[str, list[str]]:
    """Read what belongs to a split; splits without a list are left out."""
    files = tree.find_unique(r'((?:train|val|test)(?:_wo_xBD)?\.txt)')
    named = {name: file for (name,), file in files.items()}
    moved = {name for _, name in _rows(tree)}
    lists = {}
    for split in SPLITS:
        if _list(split, xbd) in named:
            lists[split] = _names(named[_list(split, xbd)])
        elif _list(split, True) in named and moved:
            names = _names(named[_list(split, True)])
            lists[split] = [name for name in names if name not in moved]
    return lists


def _names(file: SourceFile) -> list[str]:
    """Read a list, one image a line."""
    names = file.read().decode('utf-8', 'replace').split()
    for name in names:
        _check(name, file)
    return names


def _rows(tree: SourceTree) -> list[tuple[str, str]]:
    """Read which image of xBD becomes which of the data set."""
    rows = []
    for _, file in tree.find(r'xbd_files\.csv'):
        for line in file.read().decode('utf-8', 'replace').split():
            source, comma, name = line.partition(',')
            if not comma or '/' in source:
                raise LayoutError(
                    f'{file.name}: line {line!r}, expected <image of xBD>.png,'
                    '<region>_<n>.tif'
                )
            rows.append((source, _check(name, file)))
    return rows


def _xbd(tree: SourceTree) -> dict[str, SourceFile]:
    """Find the images of xBD by the names that they get."""
    files = tree.find_unique(r'([^/]+_pre_disaster\.png)')
    return {
        name: files[(source,)] for source, name in _rows(tree) if (source,) in files
    }


def _check(name: str, file: SourceFile) -> str:
    """Refuse a name that is no image of a region."""
    if not re.fullmatch(r'[^/\\.][^/\\]*_\d+\.tif', name):
        raise LayoutError(f'{file.name}: {name!r}, expected <region>_<n>.tif')
    return name


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(OpenEarthMap(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
