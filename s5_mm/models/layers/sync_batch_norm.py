"""Batch normalisation over all processes, on any device."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from s5_mm.models.process_sum import sum_over_processes
from s5_mm.registry import MODELS


@MODELS.register_module('SyncBN')
class SyncBatchNorm(_BatchNorm):
    """``torch.nn.SyncBatchNorm`` that also works between CPU processes.

    torch's layer refuses CPU tensors as soon as there is a process group, and DDP
    refuses the layer, so a config with ``SyncBN`` trains on one CPU process and on
    many GPUs, but not on two CPU processes (torch 2.15).  On CPU this layer computes
    the statistics with differentiable all-reduces; everywhere else torch's own code
    runs.  Same parameters, same keys.  ``norm_cfg=dict(type='s5_mm.SyncBN')``.
    """

    #: What torch's code expects to find; None is the group of all processes.
    process_group = None
    _check_input_dim = nn.SyncBatchNorm._check_input_dim
    _check_non_zero_input_channels = nn.SyncBatchNorm._check_non_zero_input_channels

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: Features, (N, C, ...), C = ``num_features``.

        Returns:
            Features of the same shape and dtype.
        """
        together = self.training and dist.is_initialized() and dist.get_world_size() > 1
        if not together:
            return super().forward(input)
        # torch's own code selects by a boolean mask, where a compiled graph breaks.
        if input.device.type == 'cpu' or torch.compiler.is_compiling():
            return self._forward_composed(input)
        return nn.SyncBatchNorm.forward(self, input)  # type: ignore[arg-type]

    def _forward_composed(self, input: Tensor) -> Tensor:
        """Normalise with the statistics of all processes, in fp32 at least."""
        features = input.to(torch.promote_types(input.dtype, torch.float32))
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        count = features.new_tensor([input.numel() / input.shape[1]])
        # Two passes: the sum of squares alone would lose digits to cancellation.
        totals = sum_over_processes(torch.cat([features.sum(dim=axes), count]))
        total = totals[-1].detach()
        mean = totals[:-1] / total
        centred = features - mean.view(shape)
        var = sum_over_processes(centred.square().sum(dim=axes)) / total
        if self.track_running_stats:
            self._track(mean.detach(), var.detach() * total / (total - 1))
        normed = centred * torch.rsqrt(var + self.eps).view(shape)
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        return normed.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased_var: Tensor) -> None:
        """Update the running statistics as torch does."""
        batches, running_mean = self.num_batches_tracked, self.running_mean
        running_var = self.running_var
        if batches is None or running_mean is None or running_var is None:
            return
        batches.add_(1)
        factor = self.momentum
        if factor is None:
            factor = 1.0 / float(batches)
        running_mean.lerp_(mean, factor)
        running_var.lerp_(unbiased_var, factor)
