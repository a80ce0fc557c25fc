"""The teacher as an exponential moving average of the student."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BUFFERS = ('average', 'copy')


@torch.no_grad()
def update_ema(
    teacher: nn.Module, student: nn.Module, momentum: float, buffers: str = 'average'
) -> None:
    """Move the teacher towards the student: theta_t <- m theta_t + (1 - m) theta_s.

    Batch statistics belong to the weights that they were measured with, so both are
    averaged by default; the arm ``copied_statistics`` of configs/lab compares.

    Args:
        teacher: Changed in place.
        student: Same architecture.
        momentum: m, in [0, 1]; 0 makes the teacher a copy of the student.
        buffers: 'average' treats floating buffers as weights; 'copy' takes the
            student's. Integer buffers are copied.
    """
    own: list[Tensor] = list(teacher.parameters())
    new: list[Tensor] = list(student.parameters())
    for mine, its in zip(teacher.buffers(), student.buffers(), strict=True):
        if buffers == 'average' and mine.is_floating_point():
            own.append(mine)
            new.append(its)
        else:
            mine.copy_(its)
    torch._foreach_lerp_(own, new, 1.0 - momentum)


def ramped_momentum(momentum: float, updates: int) -> float:
    """Return min(1 - 1/(t + 1), m), the momentum after t updates.

    The first update copies the student, the next ones make the teacher the mean of all
    students so far, until the window of the moving average is filled (UniMatch V2).

    Args:
        momentum: m, in [0, 1].
        updates: t; negative counts as 0.
    """
    return min(1.0 - 1.0 / (max(updates, 0) + 1), momentum)
