"""Oriented detectors for several data sets."""

from .multi_dataset_detector import MultiDatasetDetector
from .oriented_rcnn import OrientedRCNN
from .shared_features import SharedFeatures

__all__ = ['MultiDatasetDetector', 'OrientedRCNN', 'SharedFeatures']
