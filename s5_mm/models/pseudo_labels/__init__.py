"""Pseudo-labels: what the teacher predicts and how much of it counts."""

from .predictions import Predictions, PseudoLabels
from .threshold import FixedThreshold, NoThreshold, Threshold, check_share

__all__ = [
    'FixedThreshold',
    'NoThreshold',
    'Predictions',
    'PseudoLabels',
    'Threshold',
    'check_share',
]
