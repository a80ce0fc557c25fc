# Dubai satellite tiles with labels (5 classes, tiles 1-6 for training, 7 for
# validation), OpenAerialMap tiles without.
data_root = 'data/'
crop_size = (128, 128)
metainfo = dict(
    classes=('building', 'land', 'road', 'vegetation', 'water'),
    palette=[
        [60, 16, 152],
        [132, 41, 246],
        [110, 193, 228],
        [254, 221, 58],
        [226, 169, 41],
    ],
)

weak = dict(
    type='s5_mm.RandomGeometry',
    crop_size=crop_size,
    scale=(0.5, 2.0),
    flip_prob=0.5,
    rotate90=True,
)
labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root + 'dubai',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    metainfo=metainfo,
    img_suffix='.jpg',
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        dict(type='s5_mm.LoadMask'),
        weak,
        dict(type='s5_mm.PackSample'),
    ],
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root + 'oam_tiles',
    data_dir='.',
    pipeline=[
        # 179 of the 1,869 tiles are RGBA.
        dict(type='s5_mm.LoadImage', alpha='drop'),
        # 0.075-0.3 m a pixel, finer than the labelled tiles: never enlarged.
        dict(weak, scale=(0.5, 1.0)),
        dict(type='s5_mm.PackSample'),
    ],
)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', shares=[8, 8]),
    collate_fn=dict(type='s5_mm.branch_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', sources=dict(sup=labelled, unsup=unlabelled)
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root + 'dubai',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        metainfo=metainfo,
        img_suffix='.jpg',
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='s5_mm.LoadMask'),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.SegmentationMetric')
test_evaluator = val_evaluator
tta_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='s5_mm.LoadMask')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
