"""Pseudo-labels: what the teacher predicts and how much of it counts."""

from .adamatch import AdaMatchThreshold
from .alignment import DistributionAlignment
from .building import build_part
from .checkpoint import adopt_rule
from .class_threshold import ClassThreshold
from .entropy_percentile import EntropyPercentile
from .flexmatch import FlexMatchThreshold
from .freematch import FreeMatchThreshold
from .moving_average import MovingAverage
from .pixel_counts import count_labels, count_pseudo_labels
from .pixel_sums import confidence_sum
from .predictions import Predictions, PseudoLabels
from .rank_weight import RankWeight
from .softmatch import SoftMatchWeight
from .threshold import (
    FixedThreshold,
    NoThreshold,
    Threshold,
    build_threshold,
    check_share,
)
from .top_share import TopShare

__all__ = [
    'AdaMatchThreshold',
    'ClassThreshold',
    'DistributionAlignment',
    'EntropyPercentile',
    'FixedThreshold',
    'FlexMatchThreshold',
    'FreeMatchThreshold',
    'MovingAverage',
    'NoThreshold',
    'Predictions',
    'PseudoLabels',
    'RankWeight',
    'SoftMatchWeight',
    'Threshold',
    'TopShare',
    'adopt_rule',
    'build_part',
    'build_threshold',
    'check_share',
    'confidence_sum',
    'count_labels',
    'count_pseudo_labels',
]
