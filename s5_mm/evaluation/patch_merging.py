"""Detections in patches put together to those of whole images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from s5_mm.ops.rotated_nms import suppress_rotated
from s5_mm.utils.argument_checks import check_choice, check_number

from .oriented_ap import Detections

_PATCH = re.compile(
    r'(?P<image>.+)__(?P<scale>\d+(\.\d+)?)__(?P<x>\d+)___(?P<y>\d+)', re.ASCII
)
_SMALLEST_SIZE = 16  # px; no rate is as large, no patch as small

ScaleField = Literal['size', 'rate']


@dataclass(frozen=True)
class Patch:
    """Where a patch lies.

    Attributes:
        image: Name of the whole image.
        rate: By what factor the image was resized before it was cut.
        x: Left border in the resized image, in pixels.
        y: Upper border in the resized image, in pixels.
    """

    image: str
    rate: float
    x: int
    y: int


def parse_patch_id(patch_id: str, scale_field: ScaleField = 'size') -> Patch:
    """Read the place of a patch from its name.

    The splitters write ``<image>__<scale>__<x>___<y>`` and disagree on what the scale
    is: for mmrotate's it is the side of the window in pixels of the image, which is not
    resized, at whatever rate (``P0001__2048__0___1648``); for the DOTA devkit's it is
    the rate, and the offsets are pixels of the resized image (``P0001__0.5__0___824``).

    Args:
        patch_id: Name of the patch without folder and suffix.
        scale_field: What the scale is.

    Returns:
        The place.

    Raises:
        ValueError: If the name has another form, or its scale cannot be one of this
            kind.
    """
    parts = _PATCH.fullmatch(patch_id)
    if parts is None:
        raise ValueError(
            f'{patch_id}: not the name of a patch, expected '
            '<image>__<scale>__<x>___<y> such as P0001__1024__0___824; whole images '
            'need no merge'
        )
    scale, x, y = float(parts['scale']), int(parts['x']), int(parts['y'])
    if scale_field == 'rate':
        if not 0 < scale < _SMALLEST_SIZE:
            raise ValueError(
                f'{patch_id}: rate {parts["scale"]}, allowed are rates above 0 and '
                f"below {_SMALLEST_SIZE}; sizes in pixels need scale_field='size'"
            )
        return Patch(parts['image'], scale, x, y)
    if not parts['scale'].isdecimal() or scale < _SMALLEST_SIZE:
        raise ValueError(
            f'{patch_id}: size {parts["scale"]} px, allowed are whole numbers of at '
            f"least {_SMALLEST_SIZE}; rates need scale_field='rate'"
        )
    return Patch(parts['image'], 1.0, x, y)


class PatchMerger:
    """Moves the boxes of patches to their place and suppresses what was found twice.

    Args:
        iou_thr: IoU, above 0 and up to 1, from which the lower one of two boxes of a
            class goes.  0.1 is mmrotate's, 0.5 that of the S5 release's submissions.
        scale_field: What the second field of the names is, see
            :func:`parse_patch_id`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, iou_thr: float = 0.1, scale_field: ScaleField = 'size') -> None:
        self.iou_thr = check_number('merge: iou_thr', iou_thr, above=0, most=1)
        check_choice('merge: scale_field', scale_field, get_args(ScaleField))
        self.scale_field = scale_field

    def merge(self, patches: Mapping[str, Detections]) -> dict[str, Detections]:
        """Put the patches together.

        Args:
            patches: Name of the patch -> what was found in it, in its pixels.

        Returns:
            Name of the image, in order of appearance -> what was found in it, in its
            pixels, by falling score.  Images in which nothing was found are there too.

        Raises:
            ValueError: If a name is not that of a patch.
        """
        parts: dict[str, list[Detections]] = defaultdict(list)
        for name, found in patches.items():
            patch = parse_patch_id(name, self.scale_field)
            bboxes = found.bboxes.copy()
            bboxes[:, :2] += (patch.x, patch.y)
            bboxes[:, :4] /= patch.rate
            parts[patch.image].append(Detections(bboxes, found.scores, found.labels))
        return {image: self._suppress(of_image) for image, of_image in parts.items()}

    def _suppress(self, parts: list[Detections]) -> Detections:
        """Keep the best of the boxes of one image."""
        bboxes = np.concatenate([part.bboxes for part in parts])
        scores = np.concatenate([part.scores for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        order = np.argsort(-scores, kind='stable')
        boxes, by_score, classes = map(torch.from_numpy, (bboxes, order, labels))
        kept = suppress_rotated(boxes, by_score, classes, self.iou_thr).numpy()
        return Detections(bboxes[kept], scores[kept], labels[kept])
