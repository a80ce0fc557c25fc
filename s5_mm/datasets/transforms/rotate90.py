"""Quarter turns of images with their oriented boxes, without interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from s5_mm.registry import TRANSFORMS
from s5_mm.utils.argument_checks import check_choice, check_number
from s5_mm.utils.box_mapping import map_boxes, quarter_turn

#: Quarter turns, counter-clockwise -> OpenCV's code.
_ROTATIONS = {
    1: cv2.ROTATE_90_COUNTERCLOCKWISE,
    2: cv2.ROTATE_180,
    3: cv2.ROTATE_90_CLOCKWISE,
}
_CANNOT_TURN = ('gt_masks', 'gt_keypoints', 'proposals', 'valid_rect')


@TRANSFORMS.register_module()
class Rotate90(BaseTransform):
    """Turn an image by a multiple of 90 degrees, as ``np.rot90`` does.

    mmrotate's ``Rotate`` keeps the size of the image, so a quarter turn of one that is
    not square cuts off its ends and pads its sides; it turns pixels by interpolation
    about the middle, and boxes about a point half a pixel away from it, with the sines
    of a float32 angle.  Here every pixel and every box is moved exactly.

    Reads and changes ``img`` ((H, W) or (H, W, C)), ``gt_bboxes`` (rotated or
    quadrilateral boxes), ``gt_seg_map`` and what ``seg_fields`` names ((H, W));
    updates ``img_shape`` and, for odd ``k``, swaps the factors of ``scale_factor``,
    which the host's ``rescale`` applies to the axes of the turned image.  Adds
    ``rot90`` (``k``) and records itself in ``homography_matrix`` like mmdet's
    transforms.  ``ori_shape`` stays that of the file.

    Args:
        k: Number of quarter turns, counter-clockwise on the screen: 0, 1, 2 or 3.

    Raises:
        ValueError: If ``k`` is none of these; from :meth:`transform`, if the results
            hold boxes or other geometry that cannot be turned.
    """

    def __init__(self, k: int = 1) -> None:
        check_choice('k', k, range(4))
        self.k = k

    def transform(self, results: dict) -> dict:
        """Turn what is in the results."""
        return _turn(results, self.k)

    def __repr__(self) -> str:
        return f'Rotate90(k={self.k})'


@TRANSFORMS.register_module()
class RandomRotate90(BaseTransform):
    """Turn an image by a random multiple of 90 degrees, see :class:`Rotate90`.

    Draws from numpy's global generator, which :class:`s5_mm.MultiSourceDataset` seeds
    with the key of the sample.

    Args:
        prob: Probability of a turn.
        ks: Numbers of quarter turns, all equally likely.  The default gives each of
            the four orientations the same chance.

    Raises:
        ValueError: If an argument is out of its range; see also :class:`Rotate90`.
    """

    def __init__(self, prob: float = 0.75, ks: Sequence[int] = (1, 2, 3)) -> None:
        check_number('prob', prob, 0, 1)
        if not ks:
            raise ValueError(f'ks={ks}, expected at least one number of turns')
        for k in ks:
            check_choice('ks', k, range(4))
        self.prob, self.ks = prob, tuple(ks)

    def transform(self, results: dict) -> dict:
        """Draw and turn."""
        turns = np.random.rand() < self.prob
        k = self.ks[np.random.randint(len(self.ks))]
        return _turn(results, k if turns else 0)

    def __repr__(self) -> str:
        return f'RandomRotate90(prob={self.prob}, ks={self.ks})'


def _turn(results: dict, k: int) -> dict:
    """Turn what is in the results by ``k`` quarter turns."""
    path = results.get('img_path')
    if wrong := [key for key in _CANNOT_TURN if results.get(key) is not None]:
        raise ValueError(
            f'{path}: {wrong} found, quarter turns move images, boxes and maps of '
            'class ids only'
        )
    matrix = quarter_turn(results['img'].shape[:2], k)
    results['rot90'] = k
    # float32 like the host's, so that meta information stacks.
    before = results.get('homography_matrix', np.eye(3))
    results['homography_matrix'] = (matrix @ before).astype(np.float32)
    if k == 0:
        return results
    for name in {'img', 'gt_seg_map', *results.get('seg_fields', ())}:
        if results.get(name) is not None:
            results[name] = cv2.rotate(results[name], _ROTATIONS[k])
    results['img_shape'] = results['img'].shape[:2]
    if k % 2 and 'scale_factor' in results:
        results['scale_factor'] = tuple(results['scale_factor'][::-1])
    boxes = results.get('gt_bboxes')
    if boxes is not None:
        try:
            boxes.tensor = map_boxes(boxes.tensor, matrix)
        except (AttributeError, ValueError) as error:
            raise ValueError(
                f'{path}: gt_bboxes of {type(boxes).__name__} found, expected rotated '
                'or quadrilateral boxes'
            ) from error
    return results
