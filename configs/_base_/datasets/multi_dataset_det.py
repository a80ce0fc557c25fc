# How data sets of oriented boxes become one stream, and how they are judged.  What
# belongs to a single data set (classes, files, pipelines) is in the file of its name
# beside this one.
data_root = 'data/'
meta_keys = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'dataset_name',
    'source',
    'sample_key',
)
# s5_mm.LoadImage gives RGB, so the preprocessor must not swap channels
# (bgr_to_rgb=False); boxes are read as corners and become (cx, cy, w, h, radians).
train_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
    # Release: DIOR-R's 800 px become 1024 too; mmrotate keeps them.
    dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
    # Release: each flip with probability 1/2, independent of the other; no rotation.
    dict(
        type='mmdet.RandomFlip',
        prob=0.75,
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmdet.PackDetInputs', meta_keys=meta_keys),
]
val_pipeline = [
    dict(type='s5_mm.LoadImage'),
    dict(type='mmdet.Resize', scale=(1024, 1024), keep_ratio=True),
    # After the resize: boxes to be judged by are those of the file.
    dict(type='mmdet.LoadAnnotations', with_bbox=True, box_type='qbox'),
    dict(type='mmrotate.ConvertBoxType', box_type_mapping=dict(gt_bboxes='rbox')),
    dict(type='mmdet.PackDetInputs', meta_keys=meta_keys),
]
train_dataloader = dict(
    batch_size=2,  # of each data set on each GPU, release
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    # Every data set is shuffled; the release reads DIOR-R in the same order each epoch.
    # 'equal' (release), 'size', dict(temperature=T), or a number for each data set.
    sampler=dict(type='s5_mm.MultiSourceSampler', shares='equal'),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', pipeline=train_pipeline, sources=dict()
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='s5_mm.MultiSourceDataset', pipeline=val_pipeline, sources=dict()
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.MultiDatasetMetric', metrics=dict())
test_evaluator = val_evaluator
