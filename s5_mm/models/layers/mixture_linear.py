"""Linear map with a shared part for all samples and an own part for each data set.

Measured (one thread, four slices of 1024 tokens, 3072 to 512 + 256): autograd through
a shared product, one product a slice and their concatenation takes 1.25 times as long
as the dense layer, nearly all of it in adding up the two gradients of the input, which
is four times as wide as the output.  Here the gradient goes slice by slice through
``[W_shared; W_t]``, which has the dense number of operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .linear import linear, matmul_nt, matmul_tn, use_onednn


def mixture_linear(
    x: Tensor,
    shared: tuple[Tensor, Tensor],
    experts: Sequence[tuple[Tensor, Tensor]],
    sizes: Sequence[int],
) -> Tensor:
    """Apply the shared part to all samples and each expert to its slice (Eq. 9-10).

    Args:
        x: Samples, contiguous by expert, (N, L, D).
        shared: Weight (C - part, D) and bias of the shared part.
        experts: Weight (part, D) and bias of each slice's expert.
        sizes: Samples of each slice; their sum is N.

    Returns:
        (N, L, C): channels of the shared part first, of the experts last.
    """
    if use_onednn(x, shared[0]) and torch.is_grad_enabled():
        flat = [tensor for pair in (shared, *experts) for tensor in pair]
        return _OneDNNMixture.apply(x, tuple(sizes), *flat)
    return _compose(x, shared, experts, sizes)


def _compose(
    x: Tensor,
    shared: tuple[Tensor, Tensor],
    experts: Sequence[tuple[Tensor, Tensor]],
    sizes: Sequence[int],
) -> Tensor:
    """Do what :func:`mixture_linear` promises, operation by operation."""
    specific = [
        linear(part, *expert)
        for part, expert in zip(x.split(list(sizes)), experts, strict=True)
    ]
    own = specific[0] if len(specific) == 1 else torch.cat(specific)
    return torch.cat([linear(x, *shared), own], dim=-1)


class _OneDNNMixture(torch.autograd.Function):
    """:func:`_compose` and its gradient by oneDNN, fp32 on CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: tuple[int, ...], *flat: Tensor) -> Tensor:
        """Return (N, L, C); ``flat`` holds weight, bias of shared part and experts."""
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        ctx.sizes = sizes
        ctx.save_for_backward(x, *flat[::2])
        return _compose(x, pairs[0], pairs[1:], sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of every weight and bias."""
        x, shared, *experts = ctx.saved_tensors
        kept = len(shared)
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        grad_shared = torch.zeros_like(shared)
        grad_bias = torch.zeros_like(shared[:, 0])
        grads: list[Tensor] = []
        start = 0
        for size, expert in zip(ctx.sizes, experts, strict=True):
            stop = start + size
            flat = grad[start:stop].reshape(-1, grad.shape[-1])
            if grad_x is not None:
                weight = torch.cat([shared, expert]).t().contiguous()
                grad_x[start:stop] = matmul_nt(grad[start:stop], weight)
            grad_weight = matmul_tn(flat, x[start:stop].reshape(-1, x.shape[-1]))
            own_bias = flat.sum(0)
            grad_shared += grad_weight[:kept]
            grad_bias += own_bias[:kept]
            grads += [grad_weight[kept:], own_bias[kept:]]
            start = stop
        return grad_x, None, grad_shared, grad_bias, *grads
