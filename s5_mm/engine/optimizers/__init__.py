"""The optimizers of s5_mm."""

from .amp_optim_wrapper import AmpOptimWrapper
from .deferred_grad_norm import OptimWrapper

__all__ = ['AmpOptimWrapper', 'OptimWrapper']
