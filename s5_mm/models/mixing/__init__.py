"""Mixtures of unlabelled images that the teacher's pseudo-labels decide."""

from .base import Mixing, build_mixing
from .class_mix import ClassMix
from .labelled_copy_paste import LabelledCopyPaste

__all__ = ['ClassMix', 'LabelledCopyPaste', 'Mixing', 'build_mixing']
