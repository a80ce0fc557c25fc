"""Metrics of s5_mm."""

from .mask_writer import MaskWriter
from .multi_dataset_metric import MultiDatasetMetric
from .segmentation_metric import SegmentationMetric

__all__ = ['MaskWriter', 'MultiDatasetMetric', 'SegmentationMetric']
