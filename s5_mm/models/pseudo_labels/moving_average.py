"""Moving averages that start with the first batch and not with a guess."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """Exponential moving averages with a momentum that grows to its full value.

    a <- m_t a + (1 - m_t) x,  m_t = min(1 - 1/(t + 1), m)

    t counts the updates of each average.  The first one sets a to x, the next ones make
    it the mean of all x so far, until the window of m is filled.  With a constant m an
    average that starts from 1/K needs thousands of iterations to forget it (m = .999),
    and one that starts from the first batch keeps what was special about that batch.

    State: ``value`` float64, because the steps (1 - m) (x - a) get lost in float32, and
    ``updates`` int64.  It is equal on all processes if x is.

    Args:
        shape: Of the averages.
        momentum: m, in [0, 1]; 1 is the mean of everything.
        initial: Value before the first update.
    """

    value: Tensor
    updates: Tensor

    def __init__(
        self, shape: tuple[int, ...], momentum: float, initial: float = 0.0
    ) -> None:
        super().__init__()
        self.momentum = momentum
        value = torch.full(shape, initial, dtype=torch.float64)
        self.register_buffer('value', value)
        self.register_buffer('updates', torch.zeros(shape, dtype=torch.int64))

    @torch.no_grad()
    def update(self, new: Tensor, occurred: Tensor) -> None:
        """Average with the values of this iteration.

        Args:
            new: x, floating type, shape of the averages; anything where nothing
                occurred.
            occurred: Which averages have a new value, bool, broadcast to the shape.
        """
        updates = self.updates.to(self.value.dtype)
        momentum = (updates / (updates + 1)).clamp(max=self.momentum)
        moved = momentum * self.value + (1 - momentum) * new
        self.value.copy_(torch.where(occurred, moved, self.value))
        self.updates += occurred

    @property
    def started(self) -> Tensor:
        """Which averages have had an update, bool."""
        return self.updates > 0
