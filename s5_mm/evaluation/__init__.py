"""Metrics of s5_mm: what both tasks share at once, the rest when asked for."""

from s5_mm.utils.lazy import lazy_exports

from .mask_writer import MaskWriter
from .multi_dataset_metric import MultiDatasetMetric

__getattr__, __dir__, LATE = lazy_exports(
    __name__,
    {
        'segmentation_metric': ['SegmentationMetric'],  # on mmseg
        'oriented_metric': ['OrientedMetric'],  # on mmrotate
    },
)

__all__ = ['MaskWriter', 'MultiDatasetMetric']
