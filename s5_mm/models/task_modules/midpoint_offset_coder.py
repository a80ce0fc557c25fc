"""The coder of the oriented RPN, with the rectangle in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmdet.structures.bbox import HorizontalBoxes, get_box_tensor
from mmrotate.models.task_modules.coders import MidpointOffsetCoder as HostCoder
from mmrotate.structures.bbox import RotatedBoxes
from torch import Tensor

from s5_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MidpointOffsetCoder(HostCoder):
    """mmrotate's coder that decodes on the device.

    The host copies the corners of all proposals to the CPU and calls
    ``cv2.minAreaRect`` once for each: a wait for every image, a Python loop of
    thousands of turns, and fp32 only.  The corners are those of a rectangle already,
    so that its sides are their differences.  Centre, sides and angle agree with the
    host's to its rounding, but for the sides' order where they are equal, and upright
    boxes, at the end of le90's range, have -90 degrees always (of 768 of them the
    host's rounding gave 10 an angle of +90).  The box has a gradient and any floating
    type.

    Arguments as for mmrotate's ``MidpointOffsetCoder``.
    """

    def decode(
        self,
        bboxes: HorizontalBoxes | Tensor,
        pred_bboxes: Tensor,
        max_shape: Sequence[int] | None = None,
        wh_ratio_clip: float = 16 / 1000,
    ) -> RotatedBoxes | Tensor:
        """Apply offsets to anchors.

        Args:
            bboxes: Anchors x1, y1, x2, y2 in pixels, (..., 4).
            pred_bboxes: Encoded dx, dy, dw, dh, da, db, (..., 6).
            max_shape: Not used, as in the host.
            wh_ratio_clip: Smallest factor of width and height; its inverse is the
                largest.

        Returns:
            x, y, w, h in pixels and angle in radians, regular in the sense of
            ``angle_version``, (..., 5).
        """
        anchors = get_box_tensor(bboxes)
        dx, dy, dw, dh, da, db = (
            value * std + mean
            for value, std, mean in zip(
                pred_bboxes.unbind(-1), self.stds, self.means, strict=True
            )
        )
        limit = abs(math.log(wh_ratio_clip))
        x1, y1, x2, y2 = anchors.unbind(-1)
        x, y = (x1 + x2) / 2 + (x2 - x1) * dx, (y1 + y2) / 2 + (y2 - y1) * dy
        width = (x2 - x1) * dw.clamp(-limit, limit).exp()
        height = (y2 - y1) * dh.clamp(-limit, limit).exp()
        # Two corners about the centre, on the upper and the right side of the
        # horizontal box; the other two lie opposite.
        top = torch.stack([da.clamp(-0.5, 0.5) * width, height / -2], dim=-1)
        right = torch.stack([width / 2, db.clamp(-0.5, 0.5) * height], dim=-1)
        box = _rectangle(torch.stack([x, y], dim=-1), top, right)
        box = RotatedBoxes(box, clone=False).regularize_boxes(self.angle_version)
        return RotatedBoxes(box, clone=False) if self.use_box_type else box


def _rectangle(centre: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Rectangle whose diagonals have the directions of two corners.

    Args:
        centre: (..., 2).
        one: A corner about the centre, (..., 2).
        other: The next corner, (..., 2); the shorter diagonal is lengthened.

    Returns:
        x, y, w, h, angle of the first side, (..., 5).
    """
    lengths = one.norm(dim=-1, keepdim=True), other.norm(dim=-1, keepdim=True)
    longest = torch.maximum(*lengths)
    one, other = one * (longest / lengths[0]), other * (longest / lengths[1])
    along, across = other - one, other + one
    width, height = along.norm(dim=-1), across.norm(dim=-1)
    # The longer side tells the angle: the shorter one may have no length.
    angle = torch.where(
        width > height,
        torch.atan2(along[..., 1], along[..., 0]),
        torch.atan2(-across[..., 0], across[..., 1]),
    )
    sides = torch.stack([width, height, angle], dim=-1)
    return torch.cat([centre, sides], dim=-1)
