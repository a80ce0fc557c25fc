# iSAID in 512-px crops with labels, RS4P-1M without.  For other images change
# data_root and, for another label space, metainfo and the heads' num_classes.
data_root = 'data/'
crop_size = (512, 512)

# Class order and colours of iSAID; background is a class that is trained.
metainfo = dict(
    classes=(
        'background', 'ship', 'storage_tank', 'baseball_diamond', 'tennis_court',
        'basketball_court', 'ground_track_field', 'bridge', 'large_vehicle',
        'small_vehicle', 'helicopter', 'swimming_pool', 'roundabout',
        'soccer_ball_field', 'plane', 'harbor',
    ),
    palette=[
        [0, 0, 0], [0, 0, 63], [0, 63, 63], [0, 63, 0], [0, 63, 127],
        [0, 63, 191], [0, 63, 255], [0, 127, 63], [0, 127, 127],
        [0, 0, 127], [0, 0, 191], [0, 0, 255], [0, 191, 127],
        [0, 127, 191], [0, 127, 255], [0, 100, 155],
    ],
)  # fmt: skip

# Eq. 4: the weak view, on uint8; the paper names rotation, the release has none.
weak = dict(
    type='s5_mm.RandomGeometry',
    crop_size=crop_size,
    scale=(0.5, 2.0),
    flip_prob=0.5,
    rotate90=True,
)
labelled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadMask'),
    weak,
    dict(type='s5_mm.PackSample'),
]
unlabelled_pipeline = [
    dict(type='s5_mm.LoadImage'),
    weak,
    dict(type='s5_mm.PackSample'),
]
val_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadMask'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=0.5, keep_ratio=True),
                dict(type='Resize', scale_factor=1.0, keep_ratio=True),
                dict(type='Resize', scale_factor=1.5, keep_ratio=True),
            ],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='s5_mm.LoadMask')],
            [dict(type='PackSegInputs')],
        ],
    ),
]

labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root + 'isaid_512',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    metainfo=metainfo,
    pipeline=labelled_pipeline,
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root + 'rs4p1m',
    ann_file='RS4P-1M.txt',
    separator=' ',  # the release's lists name a mask too, which nobody reads
    pipeline=unlabelled_pipeline,
)
train_dataloader = dict(
    batch_size=24,  # on each GPU: 12 labelled + 12 unlabelled, release
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', shares=[12, 12]),
    collate_fn=dict(type='s5_mm.branch_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', sources=dict(sup=labelled, unsup=unlabelled)
    ),
)
val_dataloader = dict(
    batch_size=4,  # release
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root + 'isaid_512',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        metainfo=metainfo,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.SegmentationMetric', background=0)
test_evaluator = val_evaluator
