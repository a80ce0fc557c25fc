"""Linear layer that uses oneDNN for inference in fp32 on CPUs with AVX-512.

``F.linear`` in fp32 calls MKL, which runs AVX2 code on AMD processors and calls oneDNN
for bf16 and fp16 only.  oneDNN's inner product has AVX-512 code for any vendor and an
error of the same size.  ViT-B is 1.7 times as fast with it (``benchmark_backbone.py``
of commit 89f9410).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

# Below this many multiply-adds oneDNN's fixed cost (about 10 us) outweighs its gain.
_MIN_MULTIPLY_ADDS = 2**20


def _has_onednn_kernel() -> bool:
    """Return whether this build and CPU have a oneDNN kernel that is worth its call."""
    return (
        hasattr(torch.ops.mkldnn, '_linear_pointwise')
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == 'AVX512'
    )


_ONEDNN = _has_onednn_kernel()

if _ONEDNN:  # torch's counter knows aten's products only

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def _count_flops(
        x_shape: torch.Size, weight_shape: torch.Size, *_: Any, **__: Any
    ) -> int:
        """Return the FLOPs of one product, two per multiply-add."""
        return 2 * math.prod(x_shape) * weight_shape[0]


def _use_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether to call oneDNN: fp32 on CPU, eager, large, without gradients."""
    return (
        _ONEDNN
        and not torch.is_grad_enabled()  # the operator has no derivative
        and x.device.type == 'cpu'
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * weight.shape[0] >= _MIN_MULTIPLY_ADDS
        and not torch.compiler.is_compiling()  # the compiler picks its own kernels
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]  # documented
        and not torch.is_autocast_enabled('cpu')
        and bool(torch.backends.mkldnn.enabled)
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``x @ weight.T + bias``, equal to ``F.linear`` up to rounding.

    ``torch.backends.mkldnn.enabled = False`` switches oneDNN off, as it does for
    convolutions.  In training, i.e. with gradients enabled, it is ``F.linear`` itself.

    Args:
        x: (..., in_features), any float dtype and device.
        weight: (out_features, in_features), dtype and device of ``x``.
        bias: (out_features,) or None.

    Returns:
        (..., out_features), dtype of ``x`` (autocast's under autocast).
    """
    if _use_onednn(x, weight):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """``nn.Linear`` (same parameters and keys) evaluated by :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return linear(input, self.weight, self.bias)
