"""Logged losses that are the same on all processes."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModel
from torch import Tensor


class LoggedLosses(BaseModel):
    """Mixin of a model: logs the mean over the processes, without a host sync."""

    def parse_losses(
        self, losses: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses; log the mean over the processes.

        Args:
            losses: What ``loss()`` returned; keys with 'loss' are differentiated.

        Returns:
            The loss to differentiate (this process's) and the detached values to
            log, equal on all processes.
        """
        loss, log_vars = super().parse_losses(losses)
        values = torch.stack([value.detach().float() for value in log_vars.values()])
        if get_world_size() > 1:
            all_reduce(values, op='mean')
        return loss, dict(zip(log_vars, values.unbind(), strict=True))
