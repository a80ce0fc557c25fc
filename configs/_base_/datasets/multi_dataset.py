# How several data sets become one stream, and how they are judged.  What belongs to a
# single data set (classes, files, protocol) is in the file of its name beside this one.
data_root = 'data/'
crop_size = (512, 512)
train_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadMask'),
    # Release: scale, crop, flips and a quarter turn.
    dict(
        type='s5_mm.RandomGeometry',
        crop_size=crop_size,
        scale=(0.5, 2.0),
        flip_prob=0.5,
        rotate90=True,
    ),
    dict(type='s5_mm.PackSample'),
]
val_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='s5_mm.LoadMask'),
    dict(type='s5_mm.PackSample'),
]
tta_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=0.75, keep_ratio=True),
                dict(type='Resize', scale_factor=1.0, keep_ratio=True),
                dict(type='Resize', scale_factor=1.25, keep_ratio=True),
            ],
            [dict(type='s5_mm.LoadMask')],
            [dict(type='s5_mm.PackSample')],
        ],
    ),
]
train_dataloader = dict(
    batch_size=12,  # of each data set on each GPU, release
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    # 'equal' (release), 'size', dict(temperature=T), or a number for each data set.
    sampler=dict(type='s5_mm.MultiSourceSampler', shares='equal'),
    collate_fn=dict(type='s5_mm.branch_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', pipeline=train_pipeline, sources=dict()
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', pipeline=val_pipeline, sources=dict()
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.MultiDatasetMetric', metrics=dict())
test_evaluator = val_evaluator
