"""Cut DOTA-v2.0 into the patches of configs/_base_/datasets/dotav2.py.

    python tools/dataset_converters/dotav2.py DOWNLOADS data/dotav2_1024_200

DOWNLOADS holds the archives as the owners distribute them, those of DOTA-v1.0's images,
which belong to v2.0, among them; the folders tell the split:

    train/images/part1.zip ...   train/labelTxt-v2.0/DOTA-v2.0_train.zip
    val/images/part1.zip ...     val/labelTxt-v2.0/DOTA-v2.0_val.zip
    test-dev/part1.zip ...       without labels

Patches are those of dota_split.py, which does the work, with the settings of the
release: 1024 px, gap 200, objects of which 0.7 are inside.  train and val go to
trainval/ together, val once more to val/, test-dev to test/.  Archives are not
unpacked.  It needs pip install 's5_mm[det]'.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import (
    Converter,
    Plan,
    SourceError,
    SourceFile,
    SourceTree,
    dataset_config,
    lacking,
)
from s5_mm.datasets.conversion.boxes import BoxScene, SplitPatches, patch_files
from s5_mm.datasets.conversion.job_runner import SCRATCH
from s5_mm.datasets.patches import SplitSettings
from s5_mm.datasets.patches.split_settings import SPLIT_RECORD

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/dotav2.py'
# Split -> parts of the source, and its name in the config.
SPLITS = {
    'trainval': (('train', 'val'), 'train'),
    'val': (('val',), 'val'),
    'test': (('test', 'test-dev'), 'test'),
}

Files = dict[tuple[str, ...], SourceFile]


class DotaV2(Converter):
    """Oriented boxes of 18 classes on images of up to 30,000 px."""

    name = 'dotav2'
    layout = """
train/images/part1.zip, ...    images/P0000.png, ...
train/labelTxt-v2.0/DOTA-v2.0_train.zip  P0000.txt, ... (oriented, not _hbb)
val/images/part1.zip, ...      images/P0003.png, ...
val/labelTxt-v2.0/DOTA-v2.0_val.zip      P0003.txt, ...
test-dev/part1.zip, ...        images/P0006.png, ...
packed or unpacked; the folders train, val and test-dev (or test) are needed"""
    options = {
        '--high-byte': {
            'action': 'store_true',
            'help': '16-bit images by their upper byte; without, they are refused',
        }
    }

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        images = tree.find_unique(
            r'(train|val|test|test-dev)/(?:.*/)?(P\d+)\.(?:png|jpg|tif)'
        )
        boxes = tree.find_unique(
            r'(train|val)/(?!.*(?:hbb|reclabel|v1\.0|v1\.5))(?:.*/)?(P\d+)\.txt'
        )
        settings = SplitSettings(high_byte=args.high_byte)
        jobs, missing, scenes, texts = [], [], {}, {}
        for part in ('train', 'val'):
            found = [
                {name for where, name in files if where == part}
                for files in (images, boxes)
            ]
            names = sorted(found[0] | found[1])
            missing += lacking(f'{part} images', names, found[0])
            missing += lacking(f'{part} labelTxt-v2.0', names, found[1])
        for split in SPLITS:
            found = list(_scenes(split, images, boxes))
            scenes[split] = len(found)
            for scene in found:
                try:
                    files = patch_files(scene, settings, args.dst / SCRATCH)
                except SourceError as error:
                    missing.append(str(error))
                    continue
                jobs.append(SplitPatches(scene, args.dst, settings, files))
            if found:
                # dota_split.py --verify reads it.
                texts[f'{split}/{SPLIT_RECORD}'] = settings.record()
        return Plan(jobs, missing, texts, scenes)

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        changes = {'filter_cfg': None, 'test_mode': True}
        return {
            split: dataset_config(CONFIG, 'dotav2', entry, args.dst, **changes)
            for split, (_, entry) in SPLITS.items()
        }

    def folder(self, split: str, args: argparse.Namespace) -> str:
        """See :class:`Converter`."""
        return f'{split}/images'


def _scenes(split: str, images: Files, boxes: Files) -> Iterator[BoxScene]:
    """Give the images of a split, with their boxes where they have to have some."""
    for (part, name), image in images.items():
        if part not in SPLITS[split][0]:
            continue
        if split == 'test':
            yield BoxScene(name, split, image, None)
        elif (part, name) in boxes:
            yield BoxScene(name, split, image, boxes[part, name])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(DotaV2(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
