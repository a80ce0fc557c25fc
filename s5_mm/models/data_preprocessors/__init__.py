"""Batches on the device: normalisation, strong augmentation, CutMix."""

from .cutmix import CutMix, MixPlan, rectangles_to_mask
from .multi_branch import MultiBranchDataPreprocessor
from .multi_dataset_preprocessor import MultiDatasetDataPreprocessor
from .strong_augment import StrongAugment

__all__ = [
    'CutMix',
    'MixPlan',
    'MultiBranchDataPreprocessor',
    'MultiDatasetDataPreprocessor',
    'StrongAugment',
    'rectangles_to_mask',
]
