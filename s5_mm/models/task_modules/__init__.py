"""Assigners and box coders of oriented detectors."""

from .max_iou_assigner import MaxIoUAssigner
from .midpoint_offset_coder import MidpointOffsetCoder

__all__ = ['MaxIoUAssigner', 'MidpointOffsetCoder']
