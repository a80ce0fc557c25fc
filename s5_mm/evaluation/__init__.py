"""Metrics of s5_mm."""

from .segmentation_metric import SegmentationMetric

__all__ = ['SegmentationMetric']
