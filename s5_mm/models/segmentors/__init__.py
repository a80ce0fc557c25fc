"""Segmentors: semi-supervised wrappers, models of several data sets."""

from .encoder_decoder import EncoderDecoder
from .fixmatch import FixMatch
from .multi_dataset_segmentor import MultiDatasetSegmentor
from .semi_base import SemiBaseSegmentor

__all__ = [
    'EncoderDecoder',
    'FixMatch',
    'MultiDatasetSegmentor',
    'SemiBaseSegmentor',
]
