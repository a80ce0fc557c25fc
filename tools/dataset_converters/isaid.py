"""Cut iSAID into the crops of configs/_base_/datasets/isaid_rs4p1m.py.

    python tools/dataset_converters/isaid.py DOWNLOADS data/isaid_512

DOWNLOADS holds the images and the text labels of DOTA-v1.0 and the semantic masks of
iSAID, in archives or unpacked:

    train/images/part1.zip ...             images/P0000.png
    train/labelTxt-v1.0/labelTxt.zip       P0000.txt, the oriented boxes
    train/Semantic_masks/images.zip        images/P0000_instance_color_RGB.png
    val/images/part1.zip, val/Semantic_masks/images.zip

As in the release: tiles of 1024 px with 200 px overlap, those of the training scenes
that hold no object of DOTA-v1.0 left out (9,734 and 5,297), each cut into four crops of
512 px: 38,936 for training, 21,188 for validation, with the names of the release's
lists (P0000_0000_crop_0).  Beyond a scene, crops have the colour of the release's
detection patches and masks 255.  Masks are stored as ids 0, background, to 15, in
mmseg's order.

mmseg's converter of the same name cuts other windows (896 px, overlap 384, all of
them), stores BMP under the name of PNG, and cannot go on after a stop.  So it is not
called here.  The boxes need pip install 's5_mm[det]'.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from s5_mm.cli.command import start_command
from s5_mm.cli.conversion import run_converter
from s5_mm.datasets.conversion import (
    ColourTable,
    Converter,
    CutTiles,
    Plan,
    SourceTree,
    dataset_config,
    lacking,
)
from s5_mm.datasets.conversion.boxes import BoxScene, QuarterPlanner
from s5_mm.datasets.conversion.job_runner import SCRATCH
from s5_mm.io.process_pool import map_unordered
from s5_mm.io.progress import ProgressLine

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/isaid_rs4p1m.py'
SPLITS = ('train', 'val')
# Red, green and blue; BboxToolkit has (104, 116, 124) in blue, green and red.
FILL = (124, 116, 104)
# Background, then the classes in mmseg's order.
COLOURS = (
    (0, 0, 0),
    (0, 0, 63),
    (0, 63, 63),
    (0, 63, 0),
    (0, 63, 127),
    (0, 63, 191),
    (0, 63, 255),
    (0, 127, 63),
    (0, 127, 127),
    (0, 0, 127),
    (0, 0, 191),
    (0, 0, 255),
    (0, 191, 127),
    (0, 127, 191),
    (0, 127, 255),
    (0, 100, 155),
)


class Isaid(Converter):
    """Objects of 15 classes on the images of DOTA-v1.0."""

    name = 'isaid'
    layout = """
train/images/part1.zip, part2.zip, part3.zip  images/P0000.png, ...
train/labelTxt-v1.0/labelTxt.zip              P0000.txt, ... (oriented boxes)
train/Semantic_masks/images.zip               images/P0000_instance_color_RGB.png, ...
val/images/part1.zip                          images/P0003.png, ...
val/Semantic_masks/images.zip                 images/P0003_instance_color_RGB.png, ...
packed or unpacked; the folders train and val are needed"""

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        images = tree.find_unique(r'(train|val)/(?:.*/)?(P\d{4})\.png')
        masks = tree.find_unique(
            r'(train|val)/(?:.*/)?(P\d{4})_instance_color_RGB\.png'
        )
        boxes = tree.find_unique(
            r'(train)/(?!.*(?:hbb|reclabel|v1\.5|v2\.0))(?:.*/)?(P\d{4})\.txt'
        )
        scenes, missing = [], []
        for split in SPLITS:
            found = [
                {scene for part, scene in files if part == split}
                for files in (images, masks, boxes)
            ]
            names = sorted(set.union(*found[:2]))
            missing += lacking(f'{split} images', names, found[0])
            missing += lacking(f'{split} masks', names, found[1])
            complete = found[0] & found[1]
            if split == 'train':
                missing += lacking('train labelTxt of DOTA-v1.0', names, found[2])
                complete &= found[2]
            scenes += [
                BoxScene(name, split, images[split, name], boxes.get((split, name)))
                for name in sorted(complete)
            ]
        colours, jobs = ColourTable(COLOURS), []
        planner = QuarterPlanner(1024, 200, args.dst / SCRATCH)
        progress = ProgressLine('plan', 'scenes')
        for scene, tiles, problem in map_unordered(planner, scenes, args.jobs):
            jobs.append(
                CutTiles(
                    scene.image,
                    tiles,
                    f'img_dir/{scene.split}',
                    masks[scene.split, scene.name],
                    f'ann_dir/{scene.split}',
                    colours,
                    FILL,
                )
            )
            missing += [problem] if problem else []
            progress(len(jobs), len(scenes))
        jobs.sort(key=lambda job: job.name)
        counts = {
            split: sum(scene.split == split for scene in scenes) for split in SPLITS
        }
        return Plan([job for job in jobs if job.tiles], missing, scenes=counts)

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        return {
            split: dataset_config(
                CONFIG,
                'labelled',
                None,
                args.dst,
                data_prefix={
                    'img_path': f'img_dir/{split}',
                    'seg_map_path': f'ann_dir/{split}',
                },
            )
            for split in SPLITS
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_converter(Isaid(), __doc__, __file__, argv)


if __name__ == '__main__':
    start_command(main)
