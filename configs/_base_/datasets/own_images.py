# Images of one's own: loaders, score and test-time augmentation.  Folders, classes and
# crop size are in configs/own/NAME_data.py, which tools/new_dataset.py writes.
load = dict(type='s5_mm.LoadImage', alpha='drop', grey='repeat')
batch_size = 8  # of 128-px crops 0.5 s a step on two cores (docs/first_model.md)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='s5_mm.MultiSourceSampler', shares=[batch_size]),
    collate_fn=dict(type='s5_mm.branch_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset',
        sources=dict(sup=dict(type='s5_mm.SegDataset')),
    ),
)
val_dataloader = dict(
    batch_size=1,  # images of any sizes
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.SegDataset',
        pipeline=[load, dict(type='s5_mm.LoadMask'), dict(type='PackSegInputs')],
    ),
)
test_dataloader = val_dataloader
# Every class counts, the first one too.
val_evaluator = dict(type='s5_mm.SegmentationMetric', per_class=True)
test_evaluator = val_evaluator
tta_pipeline = [
    load,
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
