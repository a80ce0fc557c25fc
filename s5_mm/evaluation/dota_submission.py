"""Oriented detections as the files that DOTA's server takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmrotate.structures.bbox import rbox2qbox

from s5_mm.io.atomic import write_bytes

from .oriented_ap import Detections
from .zip_archive import write_archive


class DotaSubmission:
    """Writes ``Task1_<class>.txt`` for every class, and a zip of them.

    A line is ``image score x1 y1 x2 y2 x3 y3 x4 y4``, in pixels to 0.01.  The score
    has the digits that tell its float32 from every other, where mmrotate rounds to
    0.01 and so leaves the server a hundred ranks.  Files of an earlier run are
    replaced, each when the new one is whole.

    Args:
        folder: Where the files go; made where missing.
        archive: Name of the zip, relative to ``folder``.
    """

    def __init__(self, folder: str, archive: str = 'Task1.zip') -> None:
        self.folder = Path(folder).absolute()
        self.archive = self.folder / archive

    def write(self, images: Mapping[str, Detections], classes: Sequence[str]) -> Path:
        """Write the files.

        Args:
            images: Name of the image -> what was found in it.
            classes: Names of the classes, in the order of their ids.

        Returns:
            The zip.

        Raises:
            ValueError: If the name of an image has a space, or that of a class cannot
                be part of the name of a file.
            OSError: If a file cannot be written.
        """
        if bad := [name for name in images if len(name.split()) != 1]:
            raise ValueError(
                f'{self.archive}: image name {bad[0]!r}, allowed are names without '
                'spaces, which separate the columns'
            )
        if bad := [name for name in classes if Path(name).name != name]:
            raise ValueError(
                f'{self.archive}: class {bad[0]!r}, allowed are names that can be '
                'part of the name of a file'
            )
        lines: list[list[str]] = [[] for _ in classes]
        for image, found in images.items():
            corners = rbox2qbox(torch.from_numpy(found.bboxes.astype(np.float64)))
            for row, score, label in zip(
                corners.tolist(), found.scores, found.labels, strict=True
            ):
                digits = np.format_float_positional(score)
                points = ' '.join(f'{value:.2f}' for value in row)
                lines[label].append(f'{image} {digits} {points}\n')
        files = []
        for name, own in zip(classes, lines, strict=True):
            path = self.folder / f'Task1_{name}.txt'
            write_bytes(path, ''.join(own).encode())
            files.append(path)
        write_archive(self.archive, files, compress=True)
        return self.archive
