"""Cross entropy of pixels that waits for no device and agrees between processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.nn import functional as F

from s5_mm.registry import MODELS

from ..process_sum import sum_over_processes

IGNORE = 255


def upsample(logits: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Resize logits to the input's size in fp32 (bf16 cannot hold the sums).

    Args:
        logits: (N, K, h, w).
        size: (H, W).
        align_corners: Whether the corners are aligned.

    Returns:
        (N, K, H, W), fp32 (fp64 stays fp64).
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return resize(
        logits,
        size=tuple(size),
        mode='bilinear',
        align_corners=align_corners,
        warning=False,
    )


def pixel_cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int = IGNORE
) -> Tensor:
    """Cross entropy of each pixel.

    Args:
        logits: At the labels' size, (N, K, H, W).
        labels: Class ids, long, (N, H, W).
        ignore_index: Label whose pixels give 0.

    Returns:
        (N, H, W).
    """
    return F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='none')


def mean_over_pixels(total: Tensor, counted: Tensor, sync: bool = True) -> Tensor:
    """Divide a sum over pixels by the number of pixels that count.

    Args:
        total: Sum over this process's pixels, scalar.
        counted: Which of this process's pixels count, bool, any shape.
        sync: Count the pixels of all processes; every process must call this.

    Returns:
        Scalar.  With ``sync`` the *mean over the processes* of what this returns is
        the sum of all processes over the count of all, which is what one process with
        the whole batch gets.
    """
    count = counted.sum().to(total.dtype)
    world = get_world_size() if sync else 1
    if world > 1:
        # mmengine's moves data between devices, which a compiled graph cannot.
        if torch.compiler.is_compiling():
            count = sum_over_processes(count)
        else:
            all_reduce(count)
    return total * world / count.clamp(min=1)


@MODELS.register_module()
class PixelCrossEntropy(nn.Module):
    """``loss_decode`` of an mmseg head: mean over all pixels that are not ignored.

    The value of mmseg's ``CrossEntropyLoss(avg_non_ignore=True)``, which reads the
    number of ignored pixels back from the device in every call and divides by each
    process's own number.

    Args:
        loss_weight: Factor of the loss.
        sync_normalizer: Divide by the number of pixels of all processes, so that the
            loss does not depend on how a batch is shared out; False divides by each
            process's own number, as the release.
        loss_name: Name in the log; must contain 'loss' to be differentiated.
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        sync_normalizer: bool = True,
        loss_name: str = 'loss_ce',
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.sync_normalizer = sync_normalizer
        self.loss_name = loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: (N, K, H, W).
            labels: Class ids, long, (N, H, W).
            weight: Factor of each pixel's entropy (N, H, W), None for 1.
            ignore_index: Label of pixels that do not count.

        Returns:
            Scalar.
        """
        entropy = pixel_cross_entropy(logits, labels, ignore_index)
        if weight is not None:
            entropy = entropy * weight
        mean = mean_over_pixels(
            entropy.sum(), labels != ignore_index, self.sync_normalizer
        )
        return self.loss_weight * mean
