"""Metrics of s5_mm."""

from .mask_writer import MaskWriter
from .segmentation_metric import SegmentationMetric

__all__ = ['MaskWriter', 'SegmentationMetric']
