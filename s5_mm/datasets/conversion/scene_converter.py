"""Data sets of a few large scenes, each with a mask in colours, cut into tiles."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .archive import SourceTree
from .colours import ColourTable
from .converter import Converter, Plan, dataset_config, lacking
from .job_runner import SCRATCH
from .jobs import ConversionJob, CutTiles
from .open_image import image_size
from .tiles import Tile, Windows, tile_windows


class SceneConverter(Converter):
    """A converter that is described by its attributes alone.

    Tiles are named ``<scene>_<number>_<x>_<y>``, the place in the scene in pixels.

    Attributes:
        images: Pattern of the scenes' images, see :meth:`SourceTree.find`; its group
            is the scene.
        masks: Value of ``--labels`` -> pattern of the masks.
        scenes: Split -> its scenes.
        size: Side of the tiles in pixels.
        strides: Split -> distance of neighbouring tiles in pixels.
        rule: How windows are laid.
        colours: Red, green and blue of the stored ids 0, 1, ...
        config: File of the data set's config.
    """

    images: str
    masks: Mapping[str, str]
    scenes: Mapping[str, Sequence[str]]
    size: int = 512
    strides: Mapping[str, int]
    rule: Windows = 'shifted'
    colours: tuple[tuple[int, int, int], ...]
    config: Path
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        '--labels': {
            'choices': ('eroded', 'full'),
            'default': 'eroded',
            'help': 'masks whose boundaries are black, which are ignored (eroded), or '
            'those in which every pixel has a class',
        },
        '--unknown-colours': {
            'choices': ('error', 'zero'),
            'default': 'error',
            'help': 'what becomes of colours that mean nothing: zero is ignored',
        },
    }

    def plan(self, tree: SourceTree, args: argparse.Namespace) -> Plan:
        """See :class:`Converter`."""
        images = tree.find_unique(self.images)
        masks = tree.find_unique(self.masks[args.labels])
        colours = ColourTable(self.colours, args.unknown_colours)
        jobs: list[ConversionJob] = []
        missing: list[str] = []
        for split, scenes in self.scenes.items():
            for scene in scenes:
                image, mask = images.get((scene,)), masks.get((scene,))
                if image is None or mask is None:
                    continue
                width, height = image_size(image, args.dst / SCRATCH)
                windows = tile_windows(
                    width, height, self.size, self.strides[split], self.rule
                )
                tiles = tuple(
                    Tile(f'{scene}_{number}_{x}_{y}', x, y, self.size)
                    for number, (x, y) in enumerate(windows)
                )
                folders = f'img_dir/{split}', f'ann_dir/{split}'
                jobs.append(
                    CutTiles(image, tiles, folders[0], mask, folders[1], colours)
                )
        wanted = [scene for scenes in self.scenes.values() for scene in scenes]
        there = [{scene for (scene,) in found} for found in (images, masks)]
        if args.partial:
            wanted = [scene for scene in wanted if scene in there[0] | there[1]]
        missing += lacking('images', wanted, there[0])
        missing += lacking(f'{args.labels} labels', wanted, there[1])
        return Plan(jobs, missing)

    def splits(self, args: argparse.Namespace) -> dict[str, dict]:
        """See :class:`Converter`."""
        return {
            split: dataset_config(self.config, self.name, split, args.dst)
            for split in self.scenes
        }
