"""Segmentors: semi-supervised wrappers around any mmseg segmentor."""

from .encoder_decoder import EncoderDecoder
from .fixmatch import FixMatch, PseudoLabels
from .semi_base import SemiBaseSegmentor

__all__ = ['EncoderDecoder', 'FixMatch', 'PseudoLabels', 'SemiBaseSegmentor']
