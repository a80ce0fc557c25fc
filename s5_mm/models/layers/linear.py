"""Linear map that uses the fastest exact kernel of the machine.

Measured (one thread of an AMD EPYC with AVX-512, torch 2.15, 1024 tokens, the four
shapes of a ViT-B block): ``F.linear`` in fp32 goes to MKL, which runs AVX2 code on
AMD parts, 101-108 GFLOP/s; oneDNN's inner product reaches 220-234 GFLOP/s on the
same weights without any re-packing, with an error against fp64 of the same size.
``F.linear`` chooses oneDNN by itself for bf16 and fp16 only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

# Below this many multiply-adds oneDNN's fixed cost (about 10 us) outweighs its gain.
_MIN_MULTIPLY_ADDS = 2**20


def _has_onednn_kernel() -> bool:
    """Tell whether this build and CPU have a oneDNN kernel that is worth its call."""
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


def matmul_nt(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``a @ b.T + bias`` by oneDNN, fp32 on CPU.

    Args:
        a: (..., K) float32.
        b: (N, K) float32.
        bias: (N,) float32 or None.

    Returns:
        (..., N) float32.
    """
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, 'none', [], '')


def matmul_tn(a: Tensor, b: Tensor) -> Tensor:
    """Compute ``a.T @ b`` by oneDNN, fp32 on CPU: a weight's gradient.

    oneDNN's product wants its first operand transposed in memory and reads the second
    one as it lies. So the narrower of both is copied: of 2048 x 768 and 2048 x 3072 the
    latter took 8 ms to transpose (up to 16 ms within a step), beside 90 ms of product.

    Args:
        a: (K, M) float32.
        b: (K, N) float32.

    Returns:
        (M, N) float32, column by column in memory where N < M.
    """
    if a.shape[1] <= b.shape[1]:
        return matmul_nt(a.t().contiguous(), b.t())
    return matmul_nt(b.t().contiguous(), a.t()).t()


class _OneDNNLinear(torch.autograd.Function):
    """``F.linear`` and its gradient by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return (..., N) = (..., K) x (N, K)^T + (N,)."""
        ctx.save_for_backward(x, weight)
        return matmul_nt(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias, None where not needed."""
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        flat = grad.reshape(-1, grad.shape[-1])
        grad_x = matmul_nt(grad, weight.t()) if need_x else None
        rows = x.reshape(-1, x.shape[-1])
        grad_weight = matmul_tn(flat, rows) if need_weight else None
        return grad_x, grad_weight, flat.sum(0) if need_bias else None


def use_onednn(x: Tensor, weight: Tensor) -> bool:
    """Tell whether this product goes to oneDNN: fp32 on CPU, eager, large enough."""
    return (
        _ONEDNN
        and x.device.type == 'cpu'
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * weight.shape[0] >= _MIN_MULTIPLY_ADDS
        and not torch.compiler.is_compiling()  # the compiler picks its own kernels
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled('cpu')
        and torch.backends.mkldnn.enabled
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply ``x @ weight.T + bias``, exactly ``F.linear`` up to rounding.

    ``torch.backends.mkldnn.enabled = False`` switches the oneDNN path off, as it does
    for convolutions. Second derivatives need that switch: the path has first ones only.

    Args:
        x: (..., in_features), any float dtype and device.
        weight: (out_features, in_features), dtype and device of ``x``.
        bias: (out_features,) or None.

    Returns:
        (..., out_features), dtype of ``x`` (autocast's under autocast).
    """
    if not use_onednn(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled():
        return _OneDNNLinear.apply(x, weight, bias)
    return matmul_nt(x, weight, bias)


def conv1x1(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a 1x1 convolution, where :func:`linear` has a kernel for it as a product.

    Args:
        x: (N, C, H, W), any float dtype and device.
        weight: (K, C).
        bias: (K,) or None.

    Returns:
        (N, K, H, W), in channels-last memory where it is a product.
    """
    if use_onednn(x, weight):
        return linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
    return F.conv2d(x, weight[..., None, None], bias)


class Linear(nn.Linear):
    """``nn.Linear`` (same parameters and keys) evaluated by :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return linear(input, self.weight, self.bias)
