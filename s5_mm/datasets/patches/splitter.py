"""Split one image into patches, count what that gives, or check what was given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from s5_mm.checkpoints.atomic_io import write_whole

from ..image_header import ImageError
from ..image_io import read_header
from .cut_boxes import TRUNCATED, cut_objects
from .dota_objects import (
    AnnotationFileError,
    DotaObjects,
    format_objects,
    make_objects,
    read_objects,
)
from .image_rows import open_rows, read_image_header
from .settings import ANNOTATIONS, IMAGES, SplitSettings
from .sources import SourceImage
from .windows import patch_name, sliding_windows


class Patch(NamedTuple):
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


class PatchSplitter:
    """Works on the images of a split, each by itself; picklable.

    A patch is there if its image is and its annotation is what it should be; that is
    written last, and each file appears at once or not at all.  So a run that was killed
    goes on where it was, and what it leaves does not depend on how often that happened
    or on the processes.  Files are not forced to the disk: with four syncs a patch, one
    patch took a second of waiting on a busy disk and 0.05 s of work.  After a power
    cut, emptied files are written again and :meth:`verify` finds any other damage.

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
        try:
            return len(self._windows(source)[0])
        except ImageError:
            return 0

    def count(self, source: SourceImage) -> SplitReport:
        """Count patches and objects without writing or decoding anything.

        Args:
            source: The image.

        Returns:
            The counts, or what is wrong with header or annotation.
        """
        return self._plan(source)[0]

    def split(self, source: SourceImage) -> SplitReport:
        """Write the patches of an image that are not there yet.

        Args:
            source: The image.

        Returns:
            The counts, or what is wrong with the image or its annotation; patches
            that were written before the damage of a large image stay.

        Raises:
            OSError: If the destination cannot be written.
        """
        report, patches = self._plan(source)
        missing = [patch for patch in patches if not self._is_there(patch)]
        report = report._replace(skipped=len(patches) - len(missing))
        if not missing:
            return report
        written = 0
        try:
            for patch, pixels in self._cut(source, missing):
                self._write(patch, pixels)
                written += 1
        except ImageError as error:
            report = report._replace(problems=(str(error),))
        return report._replace(written=written)

    def verify(self, source: SourceImage) -> SplitReport:
        """Check the patches of an image against the image and its annotation.

        Args:
            source: The image.

        Returns:
            The counts; a problem for every patch that is missing, damaged, of another
            size or with other objects than it should have.
        """
        report, patches = self._plan(source)
        if report.problems:
            return report
        width, height = self._windows(source)[1]
        problems: list[str] = []
        for patch in patches:
            size = self._patch_size(patch.window, width, height)
            problems += self._check(patch, size)
        return report._replace(problems=tuple(problems))

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

    def _plan(self, source: SourceImage) -> tuple[SplitReport, list[Patch]]:
        """Work out what the patches of an image should be."""
        try:
            windows, _ = self._windows(source)
            objects = self._objects(source)
        except (ImageError, AnnotationFileError) as error:
            return SplitReport(source, (str(error),)), []
        used = np.zeros(len(objects.labels), bool)
        patches, empty, copies, truncated = [], 0, 0, 0
        cut = cut_objects(objects, windows, self.settings.iof_thr)
        for window, (rows, taken) in zip(windows, cut, strict=True):
            name = patch_name(source.name, window)
            patches.append(Patch(name, window, format_objects(taken)))
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

    def _is_there(self, patch: Patch) -> bool:
        """Tell whether a patch was written before."""
        try:
            return (
                self.ann_path(patch.name).read_bytes() == patch.text.encode()
                and self.image_path(patch.name).stat().st_size > 0
            )
        except FileNotFoundError:
            return False

    def _cut(
        self, source: SourceImage, patches: list[Patch]
    ) -> Iterator[tuple[Patch, np.ndarray]]:
        """Give patches, which are sorted from the top down, with BGR pixels."""
        image = open_rows(source.image, self.settings.high_byte)
        try:
            for patch in patches:
                x0, y0, x1, y1 = patch.window.tolist()
                pixels = image.read(y0, y1)[:, x0:x1, ::-1]
                yield patch, self._pad(pixels, y1 - y0)
        finally:
            image.close()

    def _pad(self, pixels: np.ndarray, size: int) -> np.ndarray:
        """Fill a patch up to its size, if that is asked for."""
        value = self.settings.padding_value
        if value is None or pixels.shape[:2] == (size, size):
            return np.ascontiguousarray(pixels)
        padded = np.empty((size, size, 3), np.uint8)
        padded[:] = value
        padded[: pixels.shape[0], : pixels.shape[1]] = pixels
        return padded

    def _write(self, patch: Patch, pixels: np.ndarray) -> None:
        """Write image and, last, annotation of a patch."""
        encoded = cv2.imencode(self.settings.save_ext, pixels)[1].tobytes()
        text = patch.text.encode()
        for path, data in (
            (self.image_path(patch.name), encoded),
            (self.ann_path(patch.name), text),
        ):
            write_whole(path, partial(_put, data=data), durable=False)

    def _patch_size(
        self, window: np.ndarray, width: int, height: int
    ) -> tuple[int, int]:
        """Give the (width, height) that a patch should have."""
        x0, y0, x1, y1 = window.tolist()
        if self.settings.padding_value is None:
            x1, y1 = min(x1, width), min(y1, height)
        return x1 - x0, y1 - y0

    def _check(self, patch: Patch, size: tuple[int, int]) -> list[str]:
        """Compare one patch with what it should be."""
        problems = []
        try:
            header = read_header(str(self.image_path(patch.name)))
            if (header.width, header.height) != size:
                problems.append(
                    f'{self.image_path(patch.name)}: {header.width}x{header.height} '
                    f'px, expected {size[0]}x{size[1]}'
                )
        except ImageError as error:
            problems.append(str(error))
        path = self.ann_path(patch.name)
        try:
            found = path.read_bytes().decode('utf-8', 'replace').splitlines()
        except OSError as error:
            return [*problems, f'{path}: cannot be read ({error.strerror})']
        wanted = patch.text.splitlines()
        if len(found) != len(wanted):
            problems.append(f'{path}: {len(found)} objects, expected {len(wanted)}')
        elif found != wanted:
            row = next(i for i, line in enumerate(found) if line != wanted[i])
            problems.append(
                f'{path}: line {row + 1} is {found[row]!r}, expected {wanted[row]!r}'
            )
        return problems


def _put(file: BinaryIO, data: bytes) -> None:
    """Write all of a file."""
    file.write(data)
