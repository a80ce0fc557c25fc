"""Objects of whole images, to compare merged patches with."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

import numpy as np
import torch
from mmrotate.structures.bbox import qbox2rbox

from s5_mm.datasets.oriented.dota_text import read_dota_text

from .oriented_ap import Objects


def read_image_objects(ann_dir: str, image: str, classes: Sequence[str]) -> Objects:
    """Read the objects of an image.

    A patch knows its objects only as far as its border, so its own cannot stand in.

    Args:
        ann_dir: Folder of DOTA text files, each named like its image.
        image: Name of the image without suffix.
        classes: Names of the classes, in the order of their ids.

    Returns:
        The objects as rectangles of least area; difficult ones are ignored, as by the
        DOTA devkit.  Those without area are kept: they are objects that nobody finds.

    Raises:
        FileNotFoundError: If the image has no file.
        AnnotationError: If a line is malformed or names another class.
    """
    path = osp.join(ann_dir, f'{image}.txt')
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'merge: ann_dir={ann_dir!r} has no {image}.txt for the image {image}; '
            'expected is the folder of the whole images, not that of the patches'
        )
    found = read_dota_text(path, classes, degenerate='keep')
    # OpenCV finds rectangles in single precision only.
    bboxes = qbox2rbox(torch.from_numpy(found.corners.astype(np.float32))).numpy()
    return Objects(bboxes, found.labels, found.difficulty > 0)
