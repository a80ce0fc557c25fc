# Harbours with ships, a few images labelled and the rest of the training images not, by
# the lists of ../splits/hrsc_ships; the 80 validation images are the test and choose
# nothing.  Other lists, relative to the folder of the data or with full paths:
#   --cfg-options labelled_list=LIST unlabelled_list=LIST
_base_ = ['./hrsc_ships.py']
data_root = 'data/'
crop_size = (96, 96)
split_seed = 0
num_labelled = 5  # of 300; lists exist for 5, 10 and 20
lists = f'{{ fileDirname }}/../splits/hrsc_ships/seed{split_seed}'
labelled_list = f'{lists}/labelled_{num_labelled}.txt'
unlabelled_list = f'{lists}/unlabelled_{num_labelled}.txt'
metainfo = _base_.hrsc_ships['train']['metainfo']

weak = dict(
    type='s5_mm.RandomGeometry',
    crop_size=crop_size,
    scale=(0.5, 1.25),
    flip_prob=0.5,
    rotate90=True,
)
labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root + 'hrsc_ships',
    ann_file=labelled_list,
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
    data_root=data_root + 'hrsc_ships',
    ann_file=unlabelled_list,
    pipeline=[
        dict(type='s5_mm.LoadImage'),
        weak,
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
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root + 'hrsc_ships',
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
