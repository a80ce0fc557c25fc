"""Oriented boxes in the text format of DOTA, one file an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from s5_mm.registry import DATASETS

from ..pairing import none_missing
from ..path_table import PathTable
from .annotations import (
    AnnotationError,
    DegeneratePolicy,
    OrientedObjects,
    collect,
    is_finite,
    refuse_degenerate,
    to_coordinates,
    unknown_class,
)
from .base import OrientedDataset

_HEADERS = ('imagesource:', 'gsd:', 'acquisition dates:')
_EXPECTED = 'expected x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]'
_LARGEST_RADIANS = 6.2832


def read_dota_text(
    path: str, classes: Sequence[str], degenerate: DegeneratePolicy = 'raise'
) -> OrientedObjects:
    """Read the boxes of one image.

    A line is eight coordinates, a class and the difficulty, which may be left out.
    Lines such as ``imagesource:GoogleEarth`` and ``gsd:0.14`` may come first; an
    empty file is an image without objects.

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
    corners, labels, difficulty, places = [], [], [], []
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError(path, f'is no text in UTF-8 ({error})') from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or (not labels and line.strip().lower().startswith(_HEADERS)):
            continue
        where = f'line {number}'
        if len(words) not in (9, 10) or is_finite(words[8]):
            raise AnnotationError(path, f'{where}: {_layout(words)}')
        corners.append(to_coordinates(words[:8], path, where))
        if words[8] not in ids:
            raise unknown_class(words[8], classes, path, where)
        labels.append(ids[words[8]])
        difficult = words[9] if len(words) == 10 else '0'
        if not difficult.isdecimal():
            raise AnnotationError(
                path,
                f'{where}: difficult is {difficult!r}, expected a whole number of at '
                'least 0',
            )
        difficulty.append(int(difficult))
        places.append(where)
    objects = collect(corners, labels, difficulty)
    if degenerate == 'raise':
        refuse_degenerate(objects, path, places)
    return objects


def _layout(words: Sequence[str]) -> str:
    """Say what is wrong with the number of words of a line."""
    count = next((i for i, word in enumerate(words) if not is_finite(word)), len(words))
    found = f'{count} numbers before the class, {_EXPECTED}'
    if count == 5:
        unit = 'degrees' if abs(float(words[4])) > _LARGEST_RADIANS else 'radians'
        return (
            f'{found}; five look like cx cy w h angle (in {unit}): convert them to '
            'corners'
        )
    if count == 4:
        return f'{found}; four look like an upright box: convert it to corners'
    if count == 8:
        return f'{len(words)} words, {_EXPECTED}'
    return found


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
