"""Write the patches of an image, or check those that were written."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from s5_mm.io.atomic import write_bytes
from s5_mm.io.images.fill import pad
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.read import read_header
from s5_mm.io.images.rows import open_rows
from s5_mm.io.images.sidecars import remove_sidecars

from .patch_planner import PatchPlanner, PlannedPatch, SplitReport
from .source_images import SourceImage


class PatchSplitter(PatchPlanner):
    """Works on the images of a split, each by itself; picklable.

    A patch is there if its image is and its annotation is what it should be; each file
    appears whole or not at all, also after a power cut.  So a run that was killed goes
    on where it was, and what it leaves does not depend on how often that happened or on
    the processes.

    Args:
        settings: Settings of the split.
        dst: The destination.
    """

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

    def _is_there(self, patch: PlannedPatch) -> bool:
        """Tell whether a patch was written before."""
        try:
            return (
                self.ann_path(patch.name).read_bytes() == patch.text.encode()
                and self.image_path(patch.name).exists()
            )
        except FileNotFoundError:
            return False

    def _cut(
        self, source: SourceImage, patches: list[PlannedPatch]
    ) -> Iterator[tuple[PlannedPatch, np.ndarray]]:
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
        return np.ascontiguousarray(
            pixels if value is None else pad(pixels, size, value)
        )

    def _write(self, patch: PlannedPatch, pixels: np.ndarray) -> None:
        """Write image and annotation of a patch."""
        encoded = cv2.imencode(self.settings.save_ext, pixels)[1].tobytes()
        text = patch.text.encode()
        for path, data in (
            (self.image_path(patch.name), encoded),
            (self.ann_path(patch.name), text),
        ):
            remove_sidecars(path)
            write_bytes(path, data)

    def _patch_size(
        self, window: np.ndarray, width: int, height: int
    ) -> tuple[int, int]:
        """Give the (width, height) that a patch should have."""
        x0, y0, x1, y1 = window.tolist()
        if self.settings.padding_value is None:
            x1, y1 = min(x1, width), min(y1, height)
        return x1 - x0, y1 - y0

    def _check(self, patch: PlannedPatch, size: tuple[int, int]) -> list[str]:
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
