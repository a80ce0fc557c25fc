"""Objects of whole images, to compare merged patches with."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

import numpy as np
import torch
from mmrotate.structures.bbox import qbox2rbox

from .oriented_ap import Objects

_HEADERS = ('imagesource:', 'gsd:')


def read_objects(ann_dir: str, image: str, classes: Sequence[str]) -> Objects:
    """Read the objects of an image.

    A patch knows its objects only as far as its border, so its own cannot stand in.

    Args:
        ann_dir: Folder of DOTA text files, each named like its image.
        image: Name of the image without suffix.
        classes: Names of the classes, in the order of their ids.

    Returns:
        The objects as rectangles of least area; difficult ones are ignored, as by the
        DOTA devkit.

    Raises:
        FileNotFoundError: If the image has no file.
        ValueError: If a line is malformed or names another class.
    """
    path = osp.join(ann_dir, f'{image}.txt')
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'merge: ann_dir={ann_dir!r} has no {image}.txt for the image {image}; '
            'expected is the folder of the whole images, not that of the patches'
        )
    corners, labels, difficult = read_dota_text(path, classes)
    # OpenCV finds rectangles in single precision only.
    bboxes = qbox2rbox(torch.from_numpy(corners.astype(np.float32))).numpy()
    return Objects(bboxes, labels, difficult.astype(bool))


def read_dota_text(
    path: str, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a DOTA text file.

    Args:
        path: Lines of eight coordinates, a class and the difficulty, which may be left
            out; ``imagesource:`` and ``gsd:`` may come first.
        classes: Names of the classes, in the order of their ids.

    Returns:
        Corners in pixels, float64, shape (n, 8); class ids, int64, shape (n,);
        difficulty, int64, shape (n,).

    Raises:
        ValueError: If a line is malformed or names another class.
    """
    ids = {name: label for label, name in enumerate(classes)}
    corners, labels, difficult = [], [], []
    with open(path, encoding='utf-8-sig') as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words or words[0].lower().startswith(_HEADERS):
                continue
            try:
                row = [float(word) for word in words[:8]]
                grade = int(words[9]) if len(words) > 9 else 0
                label = words[8]
            except (ValueError, IndexError) as error:
                raise ValueError(
                    f'{path}, line {number}: {line.strip()!r}, expected x1 y1 x2 y2 '
                    'x3 y3 x4 y4 class [difficult]'
                ) from error
            if label not in ids:
                raise ValueError(
                    f'{path}, line {number}: class {label!r}, allowed are '
                    f'{list(classes)}'
                )
            corners.append(row)
            labels.append(ids[label])
            difficult.append(grade)
    return (
        np.array(corners, np.float64).reshape(-1, 8),
        np.array(labels, np.int64),
        np.array(difficult, np.int64),
    )
