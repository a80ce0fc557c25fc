"""The losses that a decode head is configured with, outside of the head's own code."""

from __future__ import annotations

from typing import Any

import mmseg.models.losses as host
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.nn import functional as F

from .pixel_cross_entropy import PixelCrossEntropy


def loss_parts(head: BaseDecodeHead) -> list[Any]:
    """List the losses of a head, one or several: modules with a ``loss_name``."""
    several = isinstance(head.loss_decode, nn.ModuleList)
    return list(head.loss_decode) if several else [head.loss_decode]


def decode_losses(
    head: BaseDecodeHead, logits: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Compute what mmseg's ``loss_by_feat`` does, but for the accuracy.

    Args:
        head: Its ``loss_decode``, ``sampler`` and ``ignore_index`` count.
        logits: At the labels' size, (N, K, H, W).
        labels: Class ids, long, (N, H, W).

    Returns:
        Scalars by ``loss_name``; losses of the same name are added up.
    """
    pixels = None
    if head.sampler is not None:
        pixels = head.sampler.sample(logits, labels.unsqueeze(1))
    losses: dict[str, Tensor] = {}
    for part in loss_parts(head):
        options = dict(weight=pixels, ignore_index=head.ignore_index)
        if isinstance(part, PixelCrossEntropy):
            value = part(logits, labels, **options)
        else:
            value = _eager(part, logits, labels, **options)
        name = part.loss_name
        losses[name] = losses[name] + value if name in losses else value
    return losses


@torch.compiler.disable
def _eager(part: nn.Module, logits: Tensor, labels: Tensor, **options: Any) -> Tensor:
    """Compute a loss of mmseg's, which may read numbers back, in no compiled graph."""
    if isinstance(part, host.FocalLoss) and logits.device.type == 'cpu':
        # mmseg's code for a CPU takes class ids apart in a wrong way (it keeps the
        # column of a class that is not there), but not labels that are one-hot.
        counted = labels != options['ignore_index']
        labels = F.one_hot(labels.where(counted, 0), logits.shape[1]).movedim(-1, 1)
        if options['weight'] is not None:
            counted = counted * options['weight']
        options['weight'] = counted.flatten()
    return part(logits, labels, **options)


def own_cross_entropy(head: BaseDecodeHead, sync: bool) -> None:
    """Replace mmseg's cross entropies of a head by :class:`PixelCrossEntropy`.

    The value is the same, on one process; none waits for the device, and class weights
    go together with ``avg_non_ignore``.  Of a head with one channel the sigmoid
    becomes the softmax over the logits (0, z) of its two classes.

    Args:
        head: Its ``loss_decode`` is changed in place.
        sync: See :class:`PixelCrossEntropy`.
    """

    def own(part: Any) -> nn.Module:
        plain = type(part) is host.CrossEntropyLoss and part.reduction == 'mean'
        single = head.out_channels == 1
        if not plain or part.use_mask or part.use_sigmoid != single:
            return part
        return PixelCrossEntropy(
            loss_weight=part.loss_weight,
            sync_normalizer=sync,
            loss_name=part.loss_name,
            class_weight=part.class_weight,
            avg_non_ignore=part.avg_non_ignore,
        )

    parts = [own(part) for part in loss_parts(head)]
    several = isinstance(head.loss_decode, nn.ModuleList)
    head.loss_decode = nn.ModuleList(parts) if several else parts[0]


def check_losses(head: BaseDecodeHead, where: str) -> None:
    """Refuse losses that would fail in the first step, or mean nothing.

    Args:
        head: A built head.
        where: Its place in the config, for messages.

    Raises:
        ValueError: ``class_weight`` has not one weight per class; or the head has one
            channel and a loss that is no sigmoid cross entropy, or one class.
    """
    if not hasattr(head, 'loss_decode'):  # Mask2Former and others have their own
        return
    classes = head.num_classes
    for part in loss_parts(head):
        kind, weights = type(part).__name__, getattr(part, 'class_weight', None)
        if head.out_channels == 1 and not (
            isinstance(part, host.CrossEntropyLoss)
            and part.use_sigmoid
            and weights is None
            and classes == 2
        ):
            raise ValueError(
                f'{where}: out_channels=1 with num_classes={classes} and {kind} found; '
                'one channel takes num_classes=2 and loss_decode=dict(type='
                "'CrossEntropyLoss', use_sigmoid=True) without class_weight; for other "
                'losses leave out_channels out: num_classes=2 gives two channels'
            )
        if weights is not None and len(weights) != classes:
            raise ValueError(
                f'{where}.loss_decode: {kind} has {len(weights)} class_weight values, '
                f'expected one for each of num_classes={classes}'
            )
