"""mmrotate's oriented RPN with the release's angle for upright proposals."""

from __future__ import annotations

import math
from typing import Any

from mmengine.structures import InstanceData
from mmrotate.structures.bbox import RotatedBoxes

from s5_mm.registry import MODELS

from .device_oriented_rpn_head import DeviceOrientedRPNHead

# Radians; minAreaRect gives angles of upright boxes to about 1e-6.
_TOLERANCE = 1e-4


@MODELS.register_module()
class OrientedRPNHead(DeviceOrientedRPNHead):
    """``OrientedRPNHead`` for weights of the S5 release.

    A proposal whose long side is upright has an angle at the very end of le90's range,
    and offsets that are clamped to a corner make such proposals often.  The release
    counts counter-clockwise: its -90 degrees are +90 here, but le90 turns +90 into -90,
    and the RoI head would see the same box turned by 180 degrees.  This head gives
    them +90.  All else is :class:`DeviceOrientedRPNHead`'s; arguments and parameters
    are the host's.
    """

    def _bbox_post_process(self, *args: Any, **kwargs: Any) -> InstanceData:
        """Choose the proposals of one image, see the host's.

        Returns:
            Proposals with ``bboxes`` (n, 5) and ``scores`` (n,).
        """
        results = super()._bbox_post_process(*args, **kwargs)
        boxes = results.bboxes.tensor
        upright = boxes[:, 4] < _TOLERANCE - math.pi / 2
        turned = boxes.clone()
        turned[:, 4] = boxes[:, 4] + math.pi * upright
        results.bboxes = RotatedBoxes(turned)
        return results
