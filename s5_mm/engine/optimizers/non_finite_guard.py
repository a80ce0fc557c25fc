"""Optimizer steps that a non-finite loss or gradient does not take."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from torch import Tensor


class NonFiniteGuard(OptimWrapper):
    """Mixin of an optimizer wrapper: skip updates that would spoil the weights.

    An update is skipped on all processes together when the loss of one of its
    iterations, on any process, or a gradient is NaN or infinite.  Weights and the
    optimizer's state are then untouched.  An optimizer with ``fused=True`` skips on the
    device, but for the first update of a process; with any other the flag is read back
    once per update, which waits for a GPU.  Updates that are not skipped are the same
    to the bit as without the guard.

    In float16 a gradient that overflows is part of the search for a loss scale: the
    scaler skips such updates, and they are not reported here until the scale has
    fallen to 1 or is fixed.

    Attributes:
        skip_non_finite: Set by :class:`s5_mm.NonFiniteHook`; False leaves mmengine's
            way as it is.
        non_finite: Whether the latest iteration was bad: float32 scalar on the device
            of the parameters, 1 or 0.  At an update the same on all processes, between
            updates this process's loss alone.  None before the first iteration.
    """

    skip_non_finite: bool = False
    non_finite: Tensor | None = None
    _loss_flag: Tensor | None = None
    _updated: bool = False

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute the gradients, and remember whether the loss was finite.

        Args:
            loss: Scalar.
            **kwargs: As for :meth:`torch.Tensor.backward`.
        """
        if self.skip_non_finite:
            flag = loss.detach().isfinite().all().logical_not().float()
            self.non_finite = flag
            # One bad iteration spoils the gradients of its whole accumulation.
            earlier = self._loss_flag
            self._loss_flag = flag if earlier is None else torch.maximum(earlier, flag)
        super().backward(loss, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Update the parameters unless the loss or a gradient is not finite.

        Args:
            **kwargs: As for the optimizer's ``step``.
        """
        loss_flag = self._loss_flag
        if not self.skip_non_finite or loss_flag is None:
            super().step(**kwargs)
            return
        self._loss_flag = None
        skip = self._agree(loss_flag)
        if not self._updated and skip:
            # Nothing was ever updated: torch's fused SGD would mark its momentum as
            # there and go on from memory that was never written.
            if self._scales_loss():
                self.loss_scaler.unscale_(self.optimizer)
                self.loss_scaler.update(self._scale_update_param)
            return
        self._updated = True
        if self._scales_loss():
            super().step(**kwargs)
        elif getattr(self.optimizer, '_step_supports_amp_scaling', False):
            self.optimizer.found_inf = skip
            try:
                super().step(**kwargs)
            finally:
                del self.optimizer.found_inf
        elif not skip:
            super().step(**kwargs)

    def _agree(self, loss_flag: Tensor) -> Tensor:
        """Decide on all processes whether to skip the update.

        Args:
            loss_flag: 1 if a loss of this process was not finite, else 0.

        Returns:
            1 to skip, else 0, float32 scalar on the device.
        """
        grads = _gradients(self.optimizer)
        flags = torch.stack([loss_flag, _any_non_finite(grads, loss_flag.device)])
        all_reduce(flags, 'max')
        skip = self.non_finite = flags.max()
        if self._scales_loss():
            for grad in grads[:1]:  # all that the scaler looks at is gradients
                grad.mul_(torch.where(skip > 0, torch.nan, 1.0))
            dynamic = self._scale_update_param is None
            searching = self.loss_scaler._scale > (1 if dynamic else torch.inf)
            self.non_finite = torch.where(searching, flags[0], skip)
        return skip

    def _scales_loss(self) -> bool:
        """Return whether a loss scaler is at work, which skips updates by itself."""
        scaler = getattr(self, 'loss_scaler', None)
        return scaler is not None and scaler.is_enabled()


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Collect the gradients of an optimizer, of sparse ones the values."""
    grads = [
        param.grad
        for group in optimizer.param_groups
        for param in group['params']
        if param.grad is not None
    ]
    return [grad._values() if grad.is_sparse else grad for grad in grads]


def _any_non_finite(grads: list[Tensor], device: torch.device) -> Tensor:
    """Return 1 if an element of the tensors is NaN or infinite, else 0, float32."""
    by_kind = defaultdict(list)
    for grad in grads:
        by_kind[grad.device, grad.dtype].append(grad)
    found = torch.zeros((), device=device)
    for (place, _), some in by_kind.items():
        flag, one = torch.zeros(1, device=place), torch.ones(1, device=place)
        # What torch's loss scaler calls; a factor of one leaves the tensors alone.
        torch._amp_foreach_non_finite_check_and_unscale_(some, flag, one)
        found = torch.maximum(found, flag[0].to(device, non_blocking=True))
    return found
