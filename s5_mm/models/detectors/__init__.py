"""Oriented detectors for several data sets."""

from s5_mm.utils.ops import require_ops

require_ops()

from .multi_dataset_detector import MultiDatasetDetector  # noqa: E402
from .oriented_rcnn import OrientedRCNN  # noqa: E402
from .shared_features import SharedFeatures  # noqa: E402

__all__ = ['MultiDatasetDetector', 'OrientedRCNN', 'SharedFeatures']
