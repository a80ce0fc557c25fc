"""Cross entropy of pixels that waits for no device and agrees between processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.nn import functional as F

from s5_mm.registry import MODELS
from s5_mm.utils.argument_checks import check_choice
from s5_mm.utils.ignore import IGNORE

from ..process_sum import sum_over_processes


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
        counted: Which of this process's pixels count, bool, or how much each of them
            counts, floating type, any shape.
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
    least = torch.finfo(count.dtype).eps if counted.is_floating_point() else 1
    return total * world / count.clamp(min=least)


@MODELS.register_module()
class PixelCrossEntropy(nn.Module):
    """``loss_decode`` of an mmseg head: mean over all pixels that are not ignored.

    The value of mmseg's ``CrossEntropyLoss(avg_non_ignore=True)``, which reads the
    number of ignored pixels back from the device in every call and divides by each
    process's own number.  With ``class_weight`` the mean is weighted by it, as in torch
    and mmseg (whose loss takes ``class_weight`` only without ``avg_non_ignore``: with
    both it fails in the first step).

    Args:
        loss_weight: Factor of the loss.
        sync_normalizer: Divide by the number of pixels of all processes, so that the
            loss does not depend on how a batch is shared out; False divides by each
            process's own number, as the release.
        loss_name: Name in the log; must contain 'loss' to be differentiated.
        class_weight: Weight of each of the K classes, None for equal ones.
        avg_non_ignore: False divides by all pixels, ignored ones too, unless there is a
            ``class_weight``.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        loss_weight: float = 1.0,
        sync_normalizer: bool = True,
        loss_name: str = 'loss_ce',
        class_weight: Sequence[float] | None = None,
        avg_non_ignore: bool = True,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.sync_normalizer = sync_normalizer
        self.loss_name = loss_name
        self.avg_non_ignore = avg_non_ignore
        weight = None if class_weight is None else torch.tensor(class_weight).float()
        self.register_buffer('class_weight', weight, persistent=False)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: (N, K, H, W).
            labels: Class ids, long, (N, H, W).
            weight: Factor of each pixel's entropy (N, H, W), None for 1.
            ignore_index: Label of pixels that do not count.
            reduction_override: 'none' gives the loss of each pixel, as mmseg's samplers
                of hard pixels ask for; None the mean.

        Returns:
            Scalar, or (N, H, W).

        Raises:
            ValueError: ``reduction_override`` has another value.
        """
        check_choice('reduction_override', reduction_override, (None, 'none'))
        entropy = pixel_cross_entropy(logits, labels, ignore_index)
        counted = labels != ignore_index
        if self.class_weight is not None:
            by_class = self.class_weight.to(entropy.dtype)
            counted = by_class[labels.where(counted, 0)] * counted
            entropy = entropy * counted
        elif not self.avg_non_ignore:
            counted = torch.ones_like(counted)
        if weight is not None:
            entropy = entropy * weight
        if reduction_override == 'none':
            return self.loss_weight * entropy
        mean = mean_over_pixels(entropy.sum(), counted, self.sync_normalizer)
        return self.loss_weight * mean
