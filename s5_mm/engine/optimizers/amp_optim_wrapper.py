"""Mixed precision on CPU and on devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper as _OptimWrapper
from torch import nn

from s5_mm.registry import OPTIM_WRAPPERS

from .deferred_grad_norm import DeferredGradNorm

_DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16}


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(DeferredGradNorm, _AmpOptimWrapper):
    """Mixed precision by the device of the parameters.

    bfloat16 has the range of float32 and runs without loss scaling everywhere; float16
    scales the loss.  (mmengine 0.10.12's wrapper asserts a GPU and scales the loss in
    bfloat16 too, which costs a wait for the device in every iteration.)  With float16
    use a fused optimizer (``optimizer=dict(type='AdamW', fused=True)``): any other
    makes torch read the overflow flag back in every iteration.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'``, or the torch dtype.
        loss_scale: For float16: ``'dynamic'``, a fixed number, or the arguments of
            ``torch.amp.GradScaler``.
        **kwargs: As for :class:`mmengine.optim.OptimWrapper`.

    Raises:
        ValueError: Another dtype.
        TypeError: ``loss_scale`` is none of the above.
        RuntimeError: This build of torch has no float16 autocast on the device.
    """

    def __init__(
        self,
        dtype: str | torch.dtype = 'bfloat16',
        loss_scale: str | float | dict[str, Any] = 'dynamic',
        **kwargs: Any,
    ) -> None:
        # Not the parent's: it asserts a GPU.
        _OptimWrapper.__init__(self, **kwargs)
        self.cast_dtype = _DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
        if self.cast_dtype not in _DTYPES.values():
            raise ValueError(
                f'optim_wrapper.dtype is {dtype!r}; expected one of {sorted(_DTYPES)}'
            )
        self.device_type = self.optimizer.param_groups[0]['params'][0].device.type
        if not _autocast_works(self.device_type, self.cast_dtype):
            raise RuntimeError(
                f'optim_wrapper.dtype={dtype!r}: torch {torch.__version__} has no such '
                f"autocast on {self.device_type!r}; use dtype='bfloat16' or a GPU"
            )
        scales = self.cast_dtype == torch.float16
        self._scale_update_param = loss_scale if isinstance(loss_scale, float) else None
        self.loss_scaler = torch.amp.GradScaler(
            self.device_type, enabled=scales, **_scaler_arguments(loss_scale)
        )

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the state of the optimizer and of the loss scaler.

        Args:
            state_dict: State of this wrapper, or of one with another dtype, whose
                loss scale is then not taken over.
        """
        state_dict = dict(state_dict)
        if not state_dict.get('loss_scaler') or not self.loss_scaler.is_enabled():
            state_dict.pop('loss_scaler', None)
        super().load_state_dict(state_dict)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in mixed precision.

        Args:
            model: The model in training.
        """
        # Not the parent's: its autocast refuses float16 on CPU, which torch has.
        with (
            _OptimWrapper.optim_context(self, model),
            torch.autocast(self.device_type, dtype=self.cast_dtype),
        ):
            yield


def _scaler_arguments(loss_scale: str | float | dict[str, Any]) -> dict[str, Any]:
    """Translate ``loss_scale`` to arguments of torch's scaler."""
    if loss_scale == 'dynamic':
        return {}
    if isinstance(loss_scale, float):
        return {'init_scale': loss_scale}
    if isinstance(loss_scale, dict):
        return dict(loss_scale)
    raise TypeError(
        "optim_wrapper.loss_scale must be 'dynamic', a float or a dict, got "
        f'{loss_scale!r}'
    )


def _autocast_works(device_type: str, dtype: torch.dtype) -> bool:
    """Multiply two numbers under autocast and look at the type of the product."""
    one = torch.ones(1, 1, device=device_type)
    try:
        with torch.autocast(device_type, dtype=dtype):
            return (one @ one).dtype == dtype
    except RuntimeError:
        return False
