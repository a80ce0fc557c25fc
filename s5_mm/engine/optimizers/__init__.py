"""The optimizers of s5_mm."""

from .amp_optim_wrapper import AmpOptimWrapper
from .deferred_grad_norm import OptimWrapper
from .layer_decay_constructor import LayerDecayOptimWrapperConstructor
from .non_finite_guard import NonFiniteGuard

__all__ = [
    'AmpOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'NonFiniteGuard',
    'OptimWrapper',
]
