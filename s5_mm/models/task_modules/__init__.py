"""Assigners and box coders of oriented detectors."""

from s5_mm.utils.ops import require_ops

require_ops()

from .max_iou_assigner import MaxIoUAssigner  # noqa: E402
from .midpoint_offset_coder import MidpointOffsetCoder  # noqa: E402

__all__ = ['MaxIoUAssigner', 'MidpointOffsetCoder']
