"""Configs of models that are small enough for tests."""

from __future__ import annotations

from typing import Any


def toy_backbone(img_size: int = 32, **kwargs: Any) -> dict[str, Any]:
    """Config of a ViT with four layers of width 32.

    Args:
        img_size: Side of the input in pixels that the position embedding is for.
        **kwargs: Further arguments of ``s5_mm.ViT``.

    Returns:
        The config.
    """
    config = dict(
        type='s5_mm.ViT',
        arch=dict(embed_dims=32, num_layers=4, num_heads=2),
        img_size=img_size,
        patch_size=8,
        drop_path_rate=0.0,
    )
    return {**config, **kwargs}


def toy_segmentor(
    num_classes: int = 6, img_size: int = 32, **kwargs: Any
) -> dict[str, Any]:
    """Config of a segmentor with the toy ViT and a UPerHead of 16 channels.

    Args:
        num_classes: Number of classes of the head.
        img_size: Side of the input in pixels.
        **kwargs: Further arguments of mmseg's ``EncoderDecoder``.

    Returns:
        The config.
    """
    head = dict(
        type='mmseg.UPerHead',
        in_channels=[32, 32, 32, 32],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=16,
        dropout_ratio=0.0,
        num_classes=num_classes,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', use_sigmoid=False),
    )
    config = dict(
        type='mmseg.EncoderDecoder',
        backbone=toy_backbone(img_size),
        decode_head=head,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    return {**config, **kwargs}
