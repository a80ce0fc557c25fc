"""Segmentors: semi-supervised wrappers around any mmseg segmentor."""

from .fixmatch import FixMatch, PseudoLabels
from .semi_base import SemiBaseSegmentor

__all__ = ['FixMatch', 'PseudoLabels', 'SemiBaseSegmentor']
