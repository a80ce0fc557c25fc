"""The samplers of s5_mm."""

from .multi_source_sampler import MultiSourceSampler
from .rare_class import RareClassSampling

__all__ = ['MultiSourceSampler', 'RareClassSampling']
