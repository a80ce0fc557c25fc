"""Sums over the processes, with gradients, in eager and in compiled code."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import _functional_collectives as functional


class _ProcessSum(torch.autograd.Function):
    """Sum of a tensor over all processes; the gradients are summed the same way.

    ``torch.distributed.nn.functional.all_reduce`` refuses to be compiled (torch 2.15),
    and the functional collectives, which compilers trace, have no gradient in the
    oldest torch that is supported.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Return the sum, equal on all processes."""
        return _sum(tensor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return the sum of all processes' gradients."""
        return _sum(grad)


def _sum(tensor: Tensor) -> Tensor:
    """Add up a tensor over all processes out of place."""
    if torch.compiler.is_compiling():
        group: Any = dist.group.WORLD  # there is one where this is called
        return functional.all_reduce(tensor.contiguous(), 'sum', group)
    total = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Add up a tensor over all processes; every process must call this.

    Args:
        tensor: Any shape, on a device that the process group serves.

    Returns:
        The sum, equal on all processes, differentiable.
    """
    return _ProcessSum.apply(tensor)
