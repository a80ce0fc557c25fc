"""What the patches of an image should be, without a look at its pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.rows import read_image_header
from s5_mm.io.images.windows import patch_name, sliding_windows

from ..oriented import AnnotationError
from .cut_boxes import TRUNCATED, cut_objects
from .dota_objects import DotaObjects, format_objects, make_objects, read_objects
from .source_images import SourceImage
from .split_settings import ANNOTATIONS, IMAGES, SplitSettings


class PlannedPatch(NamedTuple):
    """A patch as it should be.

    Attributes:
        name: File name without suffix.
        window: int64, shape (4,): x0, y0, x1, y1 in the image, before padding.
        text: Its annotation.
    """

    name: str
    window: np.ndarray
    text: str


class SplitReport(NamedTuple):
    """What was done with one image.

    Attributes:
        source: The image.
        problems: What is wrong, a line each; empty if all is well.
        patches: Patches that it has.
        written: Of these, how many were written now.
        skipped: Of these, how many an earlier run had written.
        empty: Of these, how many are without objects.
        objects: Objects of the image.
        copies: Objects of its patches.
        truncated: Of these, how many have the flag of those that are cut.
        lost: Objects of the image that no patch has.
    """

    source: SourceImage
    problems: tuple[str, ...] = ()
    patches: int = 0
    written: int = 0
    skipped: int = 0
    empty: int = 0
    objects: int = 0
    copies: int = 0
    truncated: int = 0
    lost: int = 0


class PatchPlanner:
    """Works out the patches of one image after another; picklable.

    Args:
        settings: Settings of the split.
        dst: The destination.
    """

    def __init__(self, settings: SplitSettings, dst: str | os.PathLike[str]) -> None:
        self.settings, self.dst = settings, Path(dst)

    def num_patches(self, source: SourceImage) -> int:
        """Count the patches of an image from its header.

        Args:
            source: The image.

        Returns:
            Their number; 0 if the header cannot be read.
        """
        return len(self.names(source))

    def names(self, source: SourceImage) -> list[str]:
        """List the patches that an image should have.

        Args:
            source: The image.

        Returns:
            Their names without suffix; none if its header cannot be read.
        """
        try:
            windows = self._windows(source)[0]
        except ImageError:
            return []
        return [patch_name(source.name, window) for window in windows]

    def count(self, source: SourceImage) -> SplitReport:
        """Count patches and objects without writing or decoding anything.

        Args:
            source: The image.

        Returns:
            The counts, or what is wrong with header or annotation.
        """
        return self._plan(source)[0]

    def image_path(self, name: str) -> Path:
        """Give the path of a patch.

        Args:
            name: Its name without suffix.

        Returns:
            The path.
        """
        return self.dst / IMAGES / f'{name}{self.settings.save_ext}'

    def ann_path(self, name: str) -> Path:
        """Give the path of the annotation of a patch.

        Args:
            name: Its name without suffix.

        Returns:
            The path.
        """
        return self.dst / ANNOTATIONS / f'{name}.txt'

    def _windows(self, source: SourceImage) -> tuple[np.ndarray, tuple[int, int]]:
        """Lay windows over an image; also its (width, height)."""
        header = read_image_header(source.image, self.settings.high_byte)
        windows = sliding_windows(
            header.width,
            header.height,
            *self.settings.scaled(),
            self.settings.img_rate_thr,
        )
        return windows, (header.width, header.height)

    def _objects(self, source: SourceImage) -> DotaObjects:
        """Read the annotation of an image."""
        allowed = self.settings.missing_ann == 'empty'
        if source.ann is None or (allowed and not os.path.exists(source.ann)):
            return make_objects()
        return read_objects(source.ann)

    def _plan(self, source: SourceImage) -> tuple[SplitReport, list[PlannedPatch]]:
        """Work out what the patches of an image should be."""
        try:
            windows, _ = self._windows(source)
            objects = self._objects(source)
        except (ImageError, AnnotationError) as error:
            return SplitReport(source, (str(error),)), []
        used = np.zeros(len(objects.labels), bool)
        patches, empty, copies, truncated = [], 0, 0, 0
        cut = cut_objects(objects, windows, self.settings.iof_thr)
        for window, (rows, taken) in zip(windows, cut, strict=True):
            name = patch_name(source.name, window)
            patches.append(PlannedPatch(name, window, format_objects(taken)))
            used[rows] = True
            empty += not len(rows)
            copies += len(rows)
            truncated += int((taken.difficult == TRUNCATED).sum())
        report = SplitReport(
            source,
            patches=len(patches),
            empty=empty,
            objects=len(used),
            copies=copies,
            truncated=truncated,
            lost=int((~used).sum()),
        )
        return report, patches
