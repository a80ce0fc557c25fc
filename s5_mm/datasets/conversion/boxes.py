"""Images with boxes in DOTA's text format, cut where the objects are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s5_mm.io.images.windows import patch_name, sliding_windows

from ..oriented import AnnotationError
from ..patches import (
    DotaObjects,
    PatchSplitter,
    SourceImage,
    SplitSettings,
    cut_objects,
    read_objects,
)
from ..patches.split_settings import ANNOTATIONS, IMAGES
from .archive import SourceError, SourceFile
from .jobs import Made
from .open_image import image_size
from .tiles import Tile


class BoxScene(NamedTuple):
    """An image of the source with its boxes.

    Attributes:
        name: File name without suffix.
        split: The split it belongs to.
        image: The image.
        boxes: Its text file; None: not needed.
    """

    name: str
    split: str
    image: SourceFile
    boxes: SourceFile | None


class QuarterPlanner:
    """Lays tiles over scenes and quarters those that are kept; picklable.

    A tile is counted column by column, as BboxToolkit does, and its quarters row by
    row: ``<scene>_<tile>_crop_<quarter>``.  Where a scene has boxes, tiles that hold
    none of them are left out; their numbers are not used again.

    Args:
        size: Side of the tiles in pixels.
        gap: Overlap of neighbouring tiles in pixels.
        scratch: Folder for temporary files.
    """

    def __init__(self, size: int, gap: int, scratch: Path) -> None:
        self.size, self.gap, self.scratch = size, gap, scratch

    def __call__(self, scene: BoxScene) -> tuple[BoxScene, tuple[Tile, ...], str]:
        """Lay the tiles of a scene.

        Args:
            scene: The scene.

        Returns:
            The scene, its quarters, and what is wrong with it, or ''.
        """
        try:
            width, height = image_size(scene.image, self.scratch)
            windows = sliding_windows(width, height, [self.size], [self.gap])
            windows = windows[np.lexsort((windows[:, 1], windows[:, 0]))]
            kept: Sequence[int] = range(len(windows))
            if scene.boxes is not None:
                objects = _read(scene.boxes, self.scratch)
                cut = cut_objects(objects, windows)
                kept = [number for number, (rows, _) in enumerate(cut) if len(rows)]
        except SourceError as error:
            return scene, (), str(error)
        half = self.size // 2
        tiles = [
            Tile(f'{scene.name}_{number:04d}_crop_{quarter}', x + dx, y + dy, half)
            for number in kept
            for x, y in [windows[number, :2].tolist()]
            for quarter, (dx, dy) in enumerate(
                ((0, 0), (half, 0), (0, half), (half, half))
            )
        ]
        return scene, tuple(tiles), ''


@dataclass(frozen=True)
class SplitPatches:
    """Cuts an image and its boxes into patches, as ``dota_split.py`` does.

    Attributes:
        scene: The image and its boxes.
        dst: The destination.
        settings: Settings of the split.
        outputs: The files it makes, see :func:`patch_files`.
    """

    scene: BoxScene
    dst: Path
    settings: SplitSettings
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it works on."""
        return self.scene.image.name

    def make(self, wanted: Collection[str], scratch: Path) -> Made:
        """Write the patches; nothing is left for the caller to write.

        Args:
            wanted: Not used: the splitter finds out itself what is there.
            scratch: Folder for temporary files.

        Yields:
            Nothing.

        Raises:
            SourceError: If the image or the boxes are bad.
        """
        splitter = PatchSplitter(self.settings, self.dst / self.scene.split)
        with ExitStack() as stack:
            image = stack.enter_context(self.scene.image.on_disk(scratch))
            boxes = self.scene.boxes
            text = boxes and stack.enter_context(boxes.on_disk(scratch))
            report = splitter.split(SourceImage(self.scene.name, image, text))
        if report.problems:
            problem = '; '.join(report.problems).replace(image, self.scene.image.name)
            if boxes is not None and text is not None:
                problem = problem.replace(text, boxes.name)
            raise SourceError(problem)
        yield from ()


def patch_files(
    scene: BoxScene, settings: SplitSettings, scratch: Path
) -> tuple[str, ...]:
    """List the files of an image's patches.

    Args:
        scene: The image.
        settings: Settings of the split.
        scratch: Folder for temporary files.

    Returns:
        Paths relative to the destination.

    Raises:
        SourceError: If the image has no readable header.
    """
    windows = sliding_windows(
        *image_size(scene.image, scratch), *settings.scaled(), settings.img_rate_thr
    )
    names = [patch_name(scene.name, window) for window in windows]
    return tuple(
        f'{scene.split}/{folder}/{name}{suffix}'
        for name in names
        for folder, suffix in ((IMAGES, settings.save_ext), (ANNOTATIONS, '.txt'))
    )


def _read(source: SourceFile, scratch: Path) -> DotaObjects:
    """Read the boxes of an image."""
    with source.on_disk(scratch) as path:
        try:
            return read_objects(path)
        except AnnotationError as error:
            raise SourceError(str(error).replace(path, source.name)) from error
