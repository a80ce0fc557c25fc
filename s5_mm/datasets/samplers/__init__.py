"""The samplers of s5_mm."""

from .multi_source_sampler import MultiSourceSampler

__all__ = ['MultiSourceSampler']
