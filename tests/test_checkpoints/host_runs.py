"""Runs of the hosts, with nothing of this package in them."""

import json
import uuid
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

ITERATIONS = 4
CLASSES = ('a', 'b', 'c')


def write_images(folder: Path) -> None:
    """Write four images of 64 x 64 pixels with masks of three classes."""
    generator = np.random.default_rng(0)
    for part, shape, high in (('img', (64, 64, 3), 255), ('ann', (64, 64), 3)):
        (folder / part).mkdir(parents=True)
        for index in range(4):
            pixels = generator.integers(0, high, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f'{index}.png')


def segmentation_config(images: Path, work_dir: Path) -> Config:
    """Config of a run of mmseg's ViT, with the hooks that mmseg's configs have."""
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(images),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        img_suffix='.png',
        seg_map_suffix='.png',
        metainfo=dict(classes=CLASSES, palette=[[0, 0, 0], [9, 9, 9], [200, 9, 9]]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset,
    )
    evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
    return Config(
        dict(
            default_scope='mmseg',
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 64)),
                backbone=dict(
                    type='VisionTransformer',
                    img_size=64,
                    patch_size=16,
                    embed_dims=12,
                    num_layers=4,
                    num_heads=2,
                    out_indices=(3,),
                ),
                decode_head=dict(
                    type='FCNHead',
                    in_channels=12,
                    in_index=0,
                    channels=8,
                    num_convs=1,
                    dropout_ratio=0.0,
                    num_classes=len(CLASSES),
                    norm_cfg=dict(type='BN'),
                    loss_decode=dict(type='CrossEntropyLoss'),
                ),
                test_cfg=dict(mode='whole'),
            ),
            train_dataloader=loader
            | dict(batch_size=2, sampler=dict(type='InfiniteSampler')),
            val_dataloader=loader,
            test_dataloader=loader,
            val_evaluator=evaluator,
            test_evaluator=evaluator,
            train_cfg=dict(
                type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=2
            ),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=1e-2),
                clip_grad=dict(max_norm=1.0),
            ),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
                dict(type='PolyLR', begin=2, end=ITERATIONS, by_epoch=False),
            ],
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook',
                    by_epoch=False,
                    interval=2,
                    save_best='mIoU',
                    max_keep_ckpts=3,
                ),
                logger=dict(type='LoggerHook', interval=1),
            ),
            custom_hooks=[dict(type='EMAHook', momentum=0.5)],
            log_processor=dict(by_epoch=False),
            randomness=dict(seed=0),
            experiment_name=uuid.uuid4().hex,
            work_dir=str(work_dir),
        )
    )


def classification_config(images: Path, work_dir: Path) -> Config:
    """Config of a run of mmpretrain's ViT by epochs, two classes of two images."""
    dataset = dict(
        type='CustomDataset',
        data_root=str(images),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset,
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                data_preprocessor=dict(num_classes=2),
                backbone=dict(
                    type='VisionTransformer',
                    arch=dict(
                        embed_dims=12,
                        num_layers=4,
                        num_heads=2,
                        feedforward_channels=48,
                    ),
                    img_size=64,
                    patch_size=16,
                    out_type='featmap',
                ),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=2, in_channels=12),
            ),
            train_dataloader=loader,
            val_dataloader=loader,
            val_evaluator=dict(type='Accuracy', topk=(1,)),
            val_cfg=dict(),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
            param_scheduler=[dict(type='CosineAnnealingLR', T_max=2)],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto')
            ),
            custom_hooks=[dict(type='EMAHook')],
            experiment_name=uuid.uuid4().hex,
            work_dir=str(work_dir),
        )
    )


def detection_config(images: Path, work_dir: Path) -> Config:
    """Config of a run of mmdet's RetinaNet on boxes in COCO's format."""
    size = 64
    boxes = [
        dict(
            id=index + 1,
            image_id=index,
            category_id=index % 3,
            bbox=[8, 8, 24, 24],
            area=576,
            iscrowd=0,
        )
        for index in range(4)
    ]
    pictures = [
        dict(id=index, file_name=f'{index}.png', width=size, height=size)
        for index in range(4)
    ]
    categories = [dict(id=index, name=name) for index, name in enumerate(CLASSES)]
    content = dict(images=pictures, annotations=boxes, categories=categories)
    (images / 'boxes.json').write_text(json.dumps(content))
    dataset = dict(
        type='CocoDataset',
        data_root=str(images),
        ann_file='boxes.json',
        data_prefix=dict(img='img'),
        metainfo=dict(classes=CLASSES, palette=[(0, 0, 9), (9, 9, 9), (200, 9, 9)]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_shape', 'scale_factor')),
        ],
    )
    return Config(
        dict(
            default_scope='mmdet',
            model=dict(
                type='RetinaNet',
                data_preprocessor=dict(type='DetDataPreprocessor'),
                backbone=dict(type='ResNet', depth=18, base_channels=8),
                neck=dict(
                    type='FPN',
                    in_channels=[8, 16, 32, 64],
                    out_channels=8,
                    start_level=1,
                    num_outs=4,
                ),
                bbox_head=dict(
                    type='RetinaHead',
                    num_classes=len(CLASSES),
                    in_channels=8,
                    feat_channels=8,
                    stacked_convs=1,
                    anchor_generator=dict(
                        type='AnchorGenerator',
                        octave_base_scale=4,
                        scales_per_octave=1,
                        ratios=[1.0],
                        strides=[8, 16, 32, 64],
                    ),
                    bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
                ),
                train_cfg=dict(
                    assigner=dict(
                        type='MaxIoUAssigner',
                        pos_iou_thr=0.5,
                        neg_iou_thr=0.4,
                        min_pos_iou=0,
                    ),
                    allowed_border=-1,
                    pos_weight=-1,
                    debug=False,
                ),
            ),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset,
            ),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            randomness=dict(seed=0),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9)),
            param_scheduler=[dict(type='MultiStepLR', milestones=[1])],
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
            custom_hooks=[dict(type='EMAHook')],
            experiment_name=uuid.uuid4().hex,
            work_dir=str(work_dir),
        )
    )


def train(config: Config) -> Runner:
    """Train in this process."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner
