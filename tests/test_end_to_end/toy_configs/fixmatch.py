# S4P on synthetic scenes with a small ViT, shortened by ../toy_s4p.py.
_base_ = [
    '../../../configs/_base_/models/fixmatch_upernet_vit-b.py',
    '../../../configs/_base_/default_runtime_seg.py',
]
data_root = 'scenes/'
crop_size = (96, 96)
max_iters = 500

# The classes of s5_mm.testing.METAINFO.
metainfo = dict(
    classes=('field', 'road', 'building', 'water', 'tree', 'vehicle'),
    palette=[
        [170, 200, 110], [130, 130, 140], [220, 80, 60],
        [60, 130, 210], [40, 120, 60], [250, 210, 50],
    ],
)  # fmt: skip

model = dict(
    segmentor=dict(
        backbone=dict(
            arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=2),
            img_size=96,
            patch_size=8,
            drop_path_rate=0.0,
        ),
        decode_head=dict(channels=32, num_classes=6),
    ),
    data_preprocessor=dict(
        # Half of the release's jitter: a model this small tells a tree from a field
        # and water from a road by their colour.
        strong=dict(brightness=0.25, contrast=0.25, saturation=0.25, hue=0.125),
    ),
    semi_train_cfg=dict(conf_thresh=0.9),
)

weak = dict(
    type='s5_mm.RandomGeometry',
    crop_size=crop_size,
    scale=(0.75, 1.5),
    flip_prob=0.5,
    rotate90=True,
)
labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    metainfo=metainfo,
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='s5_mm.LoadMask'),
        weak,
        dict(type='s5_mm.PackSample'),
    ],
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root,
    data_dir='unlabelled',
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        weak,
        dict(type='s5_mm.PackSample'),
    ],
)
train_dataloader = dict(
    batch_size=16,
    num_workers=0,  # scenes are small; both cores are the model's
    sampler=dict(type='s5_mm.MultiSourceSampler', shares=[8, 8]),
    collate_fn=dict(type='s5_mm.branch_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', sources=dict(sup=labelled, unsup=unlabelled)
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        metainfo=metainfo,
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='s5_mm.LoadMask'),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.SegmentationMetric', per_class=True)
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='s5_mm.OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01, fused=True),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters - 30,
        begin=30,
        end=max_iters,
        by_epoch=False,
    ),
]
train_cfg = dict(type='s5_mm.ResumableIterLoop', max_iters=max_iters, val_interval=125)
val_cfg = dict(type='s5_mm.StudentTeacherValLoop')
test_cfg = dict(type='s5_mm.StudentTeacherTestLoop')
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(vis_backends=vis_backends)
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=50, max_keep_ckpts=1, save_best=None),
    # Some scenes are broken on purpose.
    bad_samples=dict(max_rate=0.05),
)
custom_hooks = [
    dict(type='s5_mm.PseudoLabelStatsHook', interval=25),
    dict(type='s5_mm.PseudoLabelVisHook', interval=125),
]
