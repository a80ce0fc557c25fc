# The recipe for few labels on drawn scenes: 6 of 150 have labels.  `make demo` draws
# them, trains this config and supervised.py and sets one against the other; the grid is
# ../lab/demo.py.
_base_ = [
    '../_base_/models/fixmatch_fpn_eff-lite0.py',
    '../_base_/datasets/s4_split.py',
    '../_base_/schedules/s4_laptop.py',
]
data_root = 'work_dirs/demo/scenes/'
split_seed = 0
num_labelled = 6
# Relative to data_root; tools/misc/s4_splits.py writes them.
labelled_list = f'splits/seed{split_seed}/labelled_{num_labelled}.txt'
unlabelled_list = f'splits/seed{split_seed}/unlabelled_{num_labelled}.txt'
# The classes of s5_mm.testing.METAINFO.
metainfo = dict(
    classes=('field', 'road', 'building', 'water', 'tree', 'vehicle'),
    palette=[
        [170, 200, 110], [130, 130, 140], [220, 80, 60],
        [60, 130, 210], [40, 120, 60], [250, 210, 50],
    ],
)  # fmt: skip
model = dict(segmentor=dict(decode_head=dict(num_classes=6)))

labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root,
    ann_file=labelled_list,
    metainfo=metainfo,
    pipeline=_base_.labelled_pipeline,
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root,
    ann_file=unlabelled_list,
    pipeline=_base_.unlabelled_pipeline,
)
# Scenes are small: no processes that read them, both cores are the models'.
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    # Vehicles are 4 % of the pixels; short runs without this have not found them.
    sampler=dict(
        sampling=dict(sup=dict(type='s5_mm.RareClassSampling', temperature=0.5))
    ),
    dataset=dict(sources=dict(sup=labelled, unsup=unlabelled)),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root,
        ann_file='splits/test.txt',
        metainfo=metainfo,
        pipeline=_base_.val_pipeline,
    ),
)
test_dataloader = val_dataloader
