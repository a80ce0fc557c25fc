"""The images that are to be split, and their annotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp')
"""Endings of images, in lower case."""


class SourceImage(NamedTuple):
    """An image to split.

    Attributes:
        name: File name without suffix; its patches are named after it.
        image: Path of the image.
        ann: Path of its annotation, which may be missing; None for a test set.
    """

    name: str
    image: str
    ann: str | None


def find_sources(
    img_dirs: Sequence[str], ann_dirs: Sequence[str] | None
) -> list[SourceImage]:
    """List the images of several folders, sorted by name.

    Args:
        img_dirs: Folders of images; other files and sub-folders are passed over.
        ann_dirs: Folder with ``<name>.txt`` for each of them; None for test sets.

    Returns:
        The images.

    Raises:
        ValueError: If a folder is missing or has no image, the lists do not fit, or
            two images have the same name, whose patches would overwrite each other.
    """
    if ann_dirs is not None and len(ann_dirs) != len(img_dirs):
        raise ValueError(
            f'{len(img_dirs)} folder(s) of images and {len(ann_dirs)} of annotations, '
            'expected one each'
        )
    for folder in (*img_dirs, *(ann_dirs or ())):
        if not os.path.isdir(folder):
            raise ValueError(f'{folder}: there is no such folder')
    found: dict[str, SourceImage] = {}
    for index, folder in enumerate(img_dirs):
        before = len(found)
        for file in sorted(os.listdir(folder)):
            name, suffix = os.path.splitext(file)
            if suffix.lower() not in SUFFIXES:
                continue
            path = os.path.join(folder, file)
            if name in found:
                raise ValueError(
                    f'{path}: {found[name].image} has the same name, expected '
                    'different ones, as patches are named after their image'
                )
            ann = None
            if ann_dirs is not None:
                ann = os.path.join(ann_dirs[index], f'{name}.txt')
            found[name] = SourceImage(name, path, ann)
        if len(found) == before:
            raise ValueError(
                f'{folder}: there is no image, expected files that end in '
                f'{", ".join(SUFFIXES)}'
            )
    return [found[name] for name in sorted(found)]
