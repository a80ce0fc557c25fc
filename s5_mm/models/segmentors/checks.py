"""What a segmentor of this package can do with the parts that a config names."""

from __future__ import annotations

from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from ..losses import check_losses

_OWN_CODE = ('loss', 'loss_by_feat', 'predict', 'predict_by_feat')


def check_head(head: nn.Module, where: str, owner: str) -> None:
    """Refuse a decode head whose own code a wrapper would pass over.

    The wrappers call ``forward`` of a head and compute its configured losses from the
    logits, so that several branches or data sets share one pass of the backbone.

    Args:
        head: A built head.
        where: Its place in the config, for messages.
        owner: Class of the wrapper, for messages.

    Raises:
        ValueError: The head is a cascade, or computes losses or predictions in a way
            of its own; or its losses cannot be used, see :func:`check_losses`.
    """
    kind, found = type(head), None
    if isinstance(head, nn.ModuleList):
        found = f'a cascade of {len(head)} heads'
    elif own := [
        name
        for name in _OWN_CODE
        if getattr(kind, name, None) is not getattr(BaseDecodeHead, name)
    ]:
        found = f'{kind.__name__}, which has its own {", ".join(own)},'
    if found is not None:
        raise ValueError(
            f'{where}: {found} found; {owner} computes losses and predictions from the '
            'logits of one head, such as UPerHead, FCNHead or SegformerHead; train '
            'others in a plain EncoderDecoder'
        )
    check_losses(head, where)


def refuse(owner: str, advice: str, **settings: Any) -> None:
    """Refuse settings that would have no effect.

    Args:
        owner: What they were given to.
        advice: What to set instead.
        **settings: The settings by name; None and empty ones are as good as absent.

    Raises:
        ValueError: A setting has a value.
    """
    for name, value in settings.items():
        if value:
            raise ValueError(
                f'{owner}: {name}={value!r} would have no effect; {advice}'
            )
