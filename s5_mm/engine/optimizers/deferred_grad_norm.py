"""Gradient clipping that does not wait for the device."""

from __future__ import annotations

import torch
from mmengine.optim import OptimWrapper as _OptimWrapper

from s5_mm.registry import OPTIM_WRAPPERS

from .non_finite_guard import NonFiniteGuard


class DeferredGradNorm(_OptimWrapper):
    """Mixin of an optimizer wrapper: the norm of the gradient stays on the device.

    The host's wrapper reads the norm back in every iteration to log it.  Where
    :class:`s5_mm.DeferredRuntimeInfoHook` collects it, this one leaves it as a tensor.

    Attributes:
        defer_scalars: Set by the hook that collects; without it the host's way holds.
        deferred_scalars: Tensors of one element by their key in the message hub, those
            of the latest update; empty after an iteration without one.
    """

    defer_scalars: bool = False
    _deferred: dict[str, torch.Tensor]

    @property
    def deferred_scalars(self) -> dict[str, torch.Tensor]:
        """Scalars since this was last read; reading empties them."""
        scalars, self._deferred = getattr(self, '_deferred', {}), {}
        return scalars

    def _clip_grad(self) -> None:
        """Clip the gradients of all parameter groups in place."""
        if not self.defer_scalars:
            super()._clip_grad()
            return
        params = [
            param
            for group in self.optimizer.param_groups
            for param in group['params']
            if param.requires_grad and param.grad is not None
        ]
        if params:
            norm = self.clip_func(params, **self.clip_grad_kwargs)
            if norm is not None:  # clipping by value has none
                self._deferred = {f'train/{self.grad_name}': norm.detach()}


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(NonFiniteGuard, DeferredGradNorm, _OptimWrapper):
    """mmengine's wrapper in full precision, without its wait for the gradient's norm.

    Updates with a non-finite loss or gradient can be skipped, see
    :class:`NonFiniteGuard`.

    Arguments as for :class:`mmengine.optim.OptimWrapper`.
    """
