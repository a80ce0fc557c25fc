# Loaders of a semi-supervised split of one data set;
# {hrsc_ships,dubai,korea_s2}_split.py say which images.
crop_size = (96, 96)
scale = (0.5, 2.0)
weak = dict(
    type='s5_mm.RandomGeometry',
    crop_size=crop_size,
    scale=scale,
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
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(
        type='s5_mm.MultiSourceSampler',
        shares=[8, 8],
        # A handful of images shows some classes in one of them: DAFormer's sampling.
        sampling=dict(sup=dict(type='s5_mm.RareClassSampling', temperature=0.5)),
    ),
    collate_fn=dict(type='s5_mm.branch_collate'),
    dataset=dict(type='s5_mm.MultiSourceDataset'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='s5_mm.SegmentationMetric', per_class=True)
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
