"""Oriented boxes in the text format of DOTA, one file an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from s5_mm.io.path_table import PathTable
from s5_mm.registry import DATASETS

from ..pairing import none_missing
from .annotations import (
    DegeneratePolicy,
    OrientedObjects,
    collect,
    refuse_degenerate,
    unknown_class,
)
from .dota_lines import read_dota_lines
from .oriented_dataset import OrientedDataset


def read_dota_text(
    path: str, classes: Sequence[str], degenerate: DegeneratePolicy = 'raise'
) -> OrientedObjects:
    """Read the boxes of one image.

    See :func:`read_dota_lines` for the format.

    Args:
        path: The file.
        classes: Names of the classes, in the order of their ids.
        degenerate: ``'raise'`` refuses boxes without area; otherwise they are
            returned, for :class:`BoxRules` to judge.

    Returns:
        Corners, labels and difficulty, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        AnnotationError: If a line is malformed, names an unknown class or gives a box
            without area; the file and the line are named.
    """
    ids = {name: label for label, name in enumerate(classes)}
    lines = read_dota_lines(path)
    for line in lines:
        if line.name not in ids:
            raise unknown_class(line.name, classes, path, line.place)
    objects = collect(
        [line.corners for line in lines],
        [ids[line.name] for line in lines],
        [line.difficulty for line in lines],
    )
    if degenerate == 'raise':
        refuse_degenerate(objects, path, [line.place for line in lines])
    return objects


@DATASETS.register_module()
class DotaTextDataset(OrientedDataset):
    """Images with oriented boxes in DOTA's text format.

    ``ann_file`` is the folder of the text files, each named like its image; with
    ``ann_file=''`` there are no annotations and every sample has zero instances.
    mmrotate's ``DOTADataset`` takes files in the order of the disk, one suffix, no
    header lines, no line without difficulty, and images without a text file vanish.

    Args:
        missing_ann: Images without a text file: ``'raise'``, or ``'empty'`` to take
            them as images without objects.
        **kwargs: As of :class:`OrientedDataset`.

    Raises:
        FileNotFoundError: If a folder or a file is missing.
        ValueError: If an argument or a file is not as it is expected.
    """

    def load_data_list(self) -> list[dict]:
        """Read every annotation.

        Returns:
            One dict an image, sorted by name.
        """
        images = self.find_images()
        if not self.ann_file:
            return [self.describe(images.path(stem)) for stem in images.stems]
        if os.path.isfile(self.ann_file):
            raise ValueError(
                f'ann_file={self.ann_file!r} is a file, expected the folder of the '
                'text files'
            )
        files = PathTable.from_folder(self.ann_file, ('.txt',))
        texts = {
            os.path.splitext(files.name(i))[0]: files[i] for i in range(len(files))
        }
        if self.missing_ann == 'raise':
            none_missing(
                [images.path(stem) for stem in images.stems if stem not in texts],
                f'{self.ann_file}: no *.txt',
                f'image(s) of {images.folder}',
                "; missing_ann='empty' takes them as images without objects",
            )
        # A text without its image is an error whatever the policy is.
        stems = sorted({*images.stems, *texts})
        return [
            self._entry(images.path(stem, texts.get(stem)), texts.get(stem))
            for stem in stems
        ]

    def _entry(self, image: str, text: str | None) -> dict[str, Any]:
        """Describe one image."""
        if text is None:
            return self.describe(image)
        objects = read_dota_text(text, self._metainfo['classes'], self.rules.degenerate)
        return self.describe(image, objects, text)
