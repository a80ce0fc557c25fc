"""The transforms of Winograd's minimal filtering F(4, 3), for lists of tensors.

Four results y of a filter g of three taps over six inputs d take six multiplications
(Lavin and Gray 2016): y = A^T [(G g) * (B^T d)].  The polynomials behind it are
evaluated at 0, -+a, -+b and infinity.  Not at the usual whole numbers, but at a =
sqrt(1/2) and b = sqrt(2): all of the transforms' numbers are then of about one size,
and in fp32 the error of a 3x3 convolution stays near that of a plain one (1.5e-6 and
0.9e-6 of the norm for 256 channels, by hand).

Each transform works on whole maps, one tensor for each place in a line of a tile, in as
few passes over memory as there are additions, and in no memory but its results: a
buffer that the system has to fill with new pages costs more than the addition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Line = Sequence[Tensor]

# The points. Their squares are 1/2 and 2, which makes most of the factors below.
_A, _B = math.sqrt(0.5), math.sqrt(2.0)


def _kernel_matrix() -> list[list[float]]:
    """Return G, 6 x 3: the filter's polynomial at each point, over the point's norm."""
    norms = {point: 5 * point**4 - 7.5 * point**2 + 1 for point in (_A, _B)}
    rows = [[1.0, 0.0, 0.0]]
    for point, norm in norms.items():
        for p in (point, -point):
            rows.append([1 / norm, p / norm, p * p / norm])
    return [*rows, [0.0, 0.0, 1.0]]


_KERNEL = _kernel_matrix()


def transform_kernel(weight: Tensor) -> Tensor:
    """Compute G g G^T: (K, C, 3, 3) to (36, C, K)."""
    g = weight.new_tensor(_KERNEL)
    return torch.einsum('ia,jb,kcab->ijck', g, g, weight).flatten(0, 1).contiguous()


def transform_kernel_back(grad: Tensor) -> Tensor:
    """Take the gradient (36, C, K) of :func:`transform_kernel` to (K, C, 3, 3)."""
    g = grad.new_tensor(_KERNEL)
    return torch.einsum('ia,jb,ijck->kcab', g, g, grad.unflatten(0, (6, 6)))


def transform_data(d: Line, out: Line) -> None:
    """Write B^T d: six inputs of a line of a tile to its six numbers."""
    even, odd = out[0], out[5]  # in use until their own results are due
    torch.add(d[4], d[2], alpha=-2, out=even)
    torch.add(d[3], d[1], alpha=-2, out=odd)
    torch.add(even, odd, alpha=_A, out=out[1])
    torch.add(even, odd, alpha=-_A, out=out[2])
    torch.add(d[4], d[2], alpha=-0.5, out=even)
    torch.add(d[3], d[1], alpha=-0.5, out=odd)
    torch.add(even, odd, alpha=_B, out=out[3])
    torch.add(even, odd, alpha=-_B, out=out[4])
    even.add_(d[0]).add_(d[2], alpha=-2)  # d0 - 5/2 d2 + d4
    torch.add(d[5], odd, alpha=-2, out=odd).add_(d[3], alpha=-0.5)  # d1 - 5/2 d3 + d5


def transform_back(m: Line, out: Line) -> None:
    """Write A^T m: a line's six numbers, which are overwritten, to four results."""
    for plus, minus in (m[1:3], m[3:5]):
        plus.add_(minus)
        torch.add(plus, minus, alpha=-2, out=minus)
    first, last = m[0], m[5]
    sum_a, difference_a, sum_b, difference_b = m[1:5]
    torch.add(first, sum_a, out=out[0]).add_(sum_b)
    torch.mul(difference_a, _A, out=out[1]).add_(difference_b, alpha=_B)
    torch.mul(sum_a, _A**2, out=out[2]).add_(sum_b, alpha=_B**2)
    torch.add(last, difference_a, alpha=_A**3, out=out[3])
    out[3].add_(difference_b, alpha=_B**3)


def transform_gradient(y: Line, out: Line) -> None:
    """Write A y, the adjoint of :func:`transform_back`: four gradients to six."""
    even, odd = out[0], out[5]
    for point, plus, minus in ((_A, *out[1:3]), (_B, *out[3:5])):
        torch.add(y[0], y[2], alpha=point**2, out=even)
        torch.add(y[1], y[3], alpha=point**2, out=odd)
        torch.add(even, odd, alpha=point, out=plus)
        torch.add(even, odd, alpha=-point, out=minus)
    even.copy_(y[0])
    odd.copy_(y[3])
