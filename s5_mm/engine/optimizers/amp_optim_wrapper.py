"""Mixed precision on CPU and on devices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper as _OptimWrapper
from torch import nn

from s5_mm.registry import OPTIM_WRAPPERS

from .deferred_grad_norm import DeferredGradNorm
from .non_finite_guard import NonFiniteGuard
from .precision import automatic_dtype, bfloat16_slowdown, native_bfloat16

_DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16}


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(NonFiniteGuard, DeferredGradNorm, _AmpOptimWrapper):
    """Mixed precision by the device of the parameters.

    bfloat16 has the range of float32 and runs without loss scaling everywhere; float16
    scales the loss.  (mmengine 0.10.12's wrapper asserts a GPU and scales the loss in
    bfloat16 too, which costs a wait for the device in every iteration.)  With float16
    use a fused optimizer (``optimizer=dict(type='AdamW', fused=True)``): any other
    makes torch read the overflow flag back in every iteration.

    ``'auto'`` takes bfloat16 where the device multiplies it itself (GPUs since Ampere,
    CPUs with AVX512-BF16, AMX or Arm's BF16) and float32 without autocast elsewhere,
    and logs which.  bfloat16 by name on a CPU without these instructions is emulated:
    a warning says how much slower it is, as measured at the start.

    Args:
        dtype: ``'auto'``, ``'bfloat16'`` or ``'float16'``, or one of the two as a
            torch dtype.
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
        self.device_type = self.optimizer.param_groups[0]['params'][0].device.type
        self.cast_dtype = _resolve(dtype, self.device_type)
        if self.cast_dtype != torch.float32 and not _autocast_works(
            self.device_type, self.cast_dtype
        ):
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
        mixed = self.cast_dtype != torch.float32
        dtype = self.cast_dtype if mixed else None
        with (
            _OptimWrapper.optim_context(self, model),
            torch.autocast(self.device_type, dtype=dtype, enabled=mixed),
        ):
            yield


def _resolve(dtype: str | torch.dtype, device_type: str) -> torch.dtype:
    """Choose the type of the autocast and log what deserves it.

    Args:
        dtype: The setting.
        device_type: Type of the device that trains.

    Returns:
        bfloat16, float16, or float32 for none.

    Raises:
        ValueError: The setting is another one.
    """
    if dtype == 'auto':
        chosen = automatic_dtype(device_type, native_bfloat16)
        print_log(
            f"optim_wrapper.dtype='auto': training in {str(chosen).split('.')[-1]}, "
            f'the {device_type} '
            f'{"has" if chosen == torch.bfloat16 else "lacks"} bfloat16 arithmetic',
            logger='current',
        )
        return chosen
    given = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if given is None or given not in _DTYPES.values():
        raise ValueError(
            f'optim_wrapper.dtype is {dtype!r}; expected one of '
            f'{["auto", *sorted(_DTYPES)]}'
        )
    if device_type == 'cpu' and given == torch.bfloat16:
        _warn_of_emulation()
    return given


def _warn_of_emulation() -> None:
    """Warn where this CPU has no instructions for bfloat16."""
    if not native_bfloat16('cpu'):
        print_log(
            "optim_wrapper.dtype='bfloat16': this CPU has no instructions for it, and "
            f'a product and a convolution take {bfloat16_slowdown():.1f} times as long '
            "as in float32 (measured now); optim_wrapper.dtype='auto' would train in "
            'float32',
            logger='current',
            level=logging.WARNING,
        )


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
