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


def toy_detector(num_classes: int = 3, **kwargs: Any) -> dict[str, Any]:
    """Config of Oriented R-CNN with the toy ViT, narrow heads and few proposals.

    Args:
        num_classes: Number of classes of the box head.
        **kwargs: Further arguments of ``s5_mm.OrientedRCNN``.

    Returns:
        The config, for the default scope 'mmrotate'.
    """
    proposals = dict(
        nms_pre=200,
        max_per_img=100,
        nms=dict(type='nms', iou_threshold=0.8),
        min_bbox_size=0,
    )
    assigner = dict(type='s5_mm.MaxIoUAssigner', ignore_iof_thr=-1)
    sampler = dict(type='mmdet.RandomSampler', neg_pos_ub=-1)
    config = dict(
        type='s5_mm.OrientedRCNN',
        data_preprocessor=dict(
            type='mmdet.DetDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            pad_size_divisor=32,
            boxtype2tensor=False,
        ),
        backbone=toy_backbone(64),
        neck=dict(type='mmdet.FPN', in_channels=[32] * 4, out_channels=32, num_outs=5),
        rpn_head=dict(
            type='s5_mm.DeviceOrientedRPNHead',
            in_channels=32,
            feat_channels=32,
            anchor_generator=dict(
                type='mmdet.AnchorGenerator',
                scales=[4],
                ratios=[0.5, 1.0, 2.0],
                strides=[4, 8, 16, 32, 64],
                use_box_type=True,
            ),
            bbox_coder=dict(
                type='s5_mm.MidpointOffsetCoder',
                angle_version='le90',
                target_stds=[1.0, 1.0, 1.0, 1.0, 0.5, 0.5],
            ),
            loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True),
            loss_bbox=dict(type='s5_mm.SmoothL1Loss', beta=1 / 9),
        ),
        roi_head=dict(
            type='mmdet.StandardRoIHead',
            bbox_roi_extractor=dict(
                type='s5_mm.EnlargedRoIExtractor',
                roi_layer=dict(
                    type='RoIAlignRotated', out_size=7, sample_num=2, clockwise=True
                ),
                out_channels=32,
                featmap_strides=[4, 8, 16, 32],
            ),
            bbox_head=dict(
                type='s5_mm.Shared2FCBBoxHead',
                predict_box_type='rbox',
                in_channels=32,
                fc_out_channels=64,
                roi_feat_size=7,
                num_classes=num_classes,
                reg_predictor_cfg=dict(type='mmdet.Linear'),
                cls_predictor_cfg=dict(type='mmdet.Linear'),
                bbox_coder=dict(
                    type='DeltaXYWHTRBBoxCoder',
                    angle_version='le90',
                    norm_factor=None,
                    edge_swap=True,
                    proj_xy=True,
                    target_stds=(0.1, 0.1, 0.2, 0.2, 0.1),
                ),
                reg_class_agnostic=True,
                loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False),
                loss_bbox=dict(type='s5_mm.SmoothL1Loss', beta=1.0),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(
                    assigner,
                    pos_iou_thr=0.7,
                    neg_iou_thr=0.3,
                    min_pos_iou=0.3,
                    match_low_quality=True,
                    iou_calculator=dict(type='RBbox2HBboxOverlaps2D'),
                ),
                sampler=dict(
                    sampler, num=64, pos_fraction=0.5, add_gt_as_proposals=False
                ),
                allowed_border=0,
                pos_weight=-1,
                debug=False,
            ),
            rpn_proposal=proposals,
            rcnn=dict(
                assigner=dict(
                    assigner,
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.5,
                    min_pos_iou=0.5,
                    match_low_quality=False,
                    iou_calculator=dict(type='RBboxOverlaps2D'),
                ),
                sampler=dict(
                    sampler, num=64, pos_fraction=0.25, add_gt_as_proposals=True
                ),
                pos_weight=-1,
                debug=False,
            ),
        ),
        test_cfg=dict(
            rpn=proposals,
            rcnn=dict(
                nms_pre=200,
                min_bbox_size=0,
                score_thr=0.05,
                nms=dict(type='nms_rotated', iou_threshold=0.1),
                max_per_img=100,
            ),
        ),
    )
    return {**config, **kwargs}
