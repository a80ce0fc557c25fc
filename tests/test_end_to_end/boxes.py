"""Drawn images of oriented boxes, and a detector that learns them in a minute."""

import cv2
import numpy as np
from mmengine.config import Config

from s5_mm.testing import toy_detector

CLASSES = ('red', 'blue')
COLOURS = ((230, 40, 40), (40, 40, 230))
SIZE = 128


def draw(root, count, seed=0, size=SIZE):
    """Four rectangles an image, of two colours; DOTA's text format beside them."""
    rng = np.random.default_rng(seed)
    for folder in ('images', 'annfiles'):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        image = rng.integers(60, 110, (size, size, 3)).astype(np.uint8)
        lines = []
        for x, y in ((35, 35), (90, 40), (40, 92), (92, 95)):
            kind = int(rng.integers(2))
            centre = (x + rng.uniform(-6, 6), y + rng.uniform(-6, 6))
            sides = (rng.uniform(30, 44), rng.uniform(10, 18))
            box = cv2.boxPoints((centre, sides, rng.uniform(-90, 90)))
            # OpenCV writes BGR.
            cv2.fillPoly(image, [box.round().astype(np.int32)], COLOURS[kind][::-1])
            corners = ' '.join(f'{value:.1f}' for value in box.ravel())
            lines.append(f'{corners} {CLASSES[kind]} 0')
        cv2.imwrite(str(root / f'images/{number}.png'), image)
        (root / f'annfiles/{number}.txt').write_text('\n'.join(lines))
    return root


def config(roots, work_dir, iterations, moe=False, **changes):
    """Config of one detector for a folder, or of one for several by their names."""
    detector = toy_detector(num_classes=2)
    detector['backbone'].update(
        arch=dict(embed_dims=64, num_layers=4, num_heads=2), img_size=SIZE
    )
    detector['neck'].update(
        in_channels=[64] * 4, norm_cfg=dict(type='GN', num_groups=8)
    )
    detector['data_preprocessor']['bgr_to_rgb'] = False
    model = detector
    if len(roots) > 1:
        model = dict(
            type='s5_mm.MultiDatasetDetector',
            data_preprocessor=detector.pop('data_preprocessor'),
            backbone=detector.pop('backbone'),
            detector=detector,
            datasets={name: dict(num_classes=2) for name in roots},
        )
        if moe:
            model['backbone'].update(type='s5_mm.ViTMoE', part_features=16)
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    keys += ('flip', 'flip_direction', 'dataset_name', 'source', 'sample_key')
    views = [
        dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
        dict(type='ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
        dict(type='mmdet.PackDetInputs', meta_keys=(*keys, 'homography_matrix')),
    ]
    resize = dict(type='mmdet.Resize', scale=(SIZE, SIZE))

    def loader(test):
        sources = {
            name: dict(
                type='s5_mm.DotaTextDataset',
                data_root=str(root),
                ann_file='annfiles',
                data_prefix=dict(img_path='images'),
                metainfo=dict(classes=CLASSES, palette=COLOURS),
                test_mode=test,
            )
            for name, root in roots.items()
        }
        sampler = dict(type='s5_mm.MultiSourceSampler', shares='equal')
        if test:
            sampler = dict(type='DefaultSampler', shuffle=False)
        pipeline = [dict(type='s5_mm.LoadImage'), resize, *views]
        return dict(
            batch_size=4,
            num_workers=0,
            sampler=sampler,
            collate_fn=dict(type='pseudo_collate'),
            dataset=dict(
                type='s5_mm.MultiSourceDataset', pipeline=pipeline, sources=sources
            ),
        )

    evaluator = dict(
        type='s5_mm.MultiDatasetMetric',
        metrics={name: dict(type='s5_mm.OrientedMetric') for name in roots},
    )
    cfg = dict(
        default_scope='mmrotate',
        model=model,
        train_dataloader=loader(False),
        val_dataloader=loader(True),
        test_dataloader=loader(True),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
        val_cfg=dict(),
        test_cfg=dict(),
        train_cfg=dict(
            type='s5_mm.ResumableIterLoop', max_iters=iterations, val_interval=10**6
        ),
        optim_wrapper=dict(
            type='s5_mm.OptimWrapper',
            optimizer=dict(type='AdamW', lr=2e-3),
            clip_grad=dict(max_norm=5),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.01, end=30, by_epoch=False),
            dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False),
        ],
        default_hooks=dict(
            runtime_info=dict(type='s5_mm.DeferredRuntimeInfoHook'),
            logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
            checkpoint=dict(
                type='s5_mm.AtomicCheckpointHook', by_epoch=False, interval=2
            ),
            visualization=dict(type='s5_mm.BoxPanelHook'),
            checkpoint_fit=dict(type='s5_mm.CheckpointFitHook'),
            dataset_check=dict(type='s5_mm.DatasetCheckHook'),
            absent_datasets=dict(type='s5_mm.AbsentDatasetHook'),
            iteration_seed=dict(type='s5_mm.IterationSeedHook'),
        ),
        visualizer=dict(
            type='RotLocalVisualizer',
            vis_backends=[dict(type='LocalVisBackend')],
            name='visualizer',
        ),
        tta_model=dict(
            type='s5_mm.OrientedTTAModel',
            tta_cfg=dict(
                nms=dict(type='nms_rotated', iou_threshold=0.1),
                max_per_img=100,
                score_thr=0.05,
            ),
        ),
        tta_pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(
                type='TestTimeAug',
                transforms=[
                    [resize],
                    [
                        dict(type='mmdet.RandomFlip', prob=0.0),
                        dict(type='mmdet.RandomFlip', prob=1.0),
                    ],
                    [dict(type='s5_mm.Rotate90', k=k) for k in range(2)],
                    *([view] for view in views),
                ],
            ),
        ],
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=0),
        work_dir=str(work_dir),
    )
    return Config({**cfg, **changes}, format_python_code=False)
