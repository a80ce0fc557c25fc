"""One feature an image, from the forward pass that gives its prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Last level of the pyramid of our ViTs: a max-pooling of the last tap.
_LAST_LEVEL = 'fpn4'


@contextmanager
def last_tap(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Keep the last map of a backbone before its feature pyramid changes it.

    A ViT of s5_mm returns four strides of which the last is max-pooled; what the
    paper's "backbone features" are is the output of the last tapped layer, at the
    stride of the patches.  Any other backbone is taken as it is: nothing is kept, and
    the last map it returns is the one to pool.

    Args:
        backbone: The backbone, which is run inside of this.

    Yields:
        List that holds the map (B, D, h, w) after the forward pass, or nothing.
    """
    kept: list[Tensor] = []
    level = getattr(backbone, _LAST_LEVEL, None)
    if level is None:
        yield kept
        return
    handle = level.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    try:
        yield kept
    finally:
        handle.remove()


def pool(feature: Tensor) -> Tensor:
    """Average a map over its cells and bring it to unit length.

    Args:
        feature: (B, D, h, w), any floating type.

    Returns:
        float32, (B, D), rows of length 1.
    """
    mean = feature.flatten(2).mean(2, dtype=torch.float32)
    return F.normalize(mean, dim=1)


def pooled_feature(kept: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
    """Pool what :func:`last_tap` kept, or the last map that was returned.

    Args:
        kept: Of :func:`last_tap`.
        features: What the backbone or the neck returned.

    Returns:
        float32, (B, D), rows of length 1.
    """
    return pool(kept[-1] if kept else features[-1])
