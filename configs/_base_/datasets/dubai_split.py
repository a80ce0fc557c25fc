# Satellite tiles of Dubai, a few images labelled and the rest of the city not, by the
# lists of ../splits/dubai; two images of each of the seven tiles are the test and
# choose nothing.  Other lists: labelled_list and unlabelled_list in --cfg-options.
_base_ = ['./dubai.py', './s4_split.py']
data_root = 'data/'
split_seed = 0
num_labelled = '1-8'  # 6 of 49 images; '1-4' are 12
splits = '{{ fileDirname }}/../splits/dubai'
labelled_list = f'{splits}/seed{split_seed}/labelled_{num_labelled}.txt'
unlabelled_list = f'{splits}/seed{split_seed}/unlabelled_{num_labelled}.txt'
metainfo = _base_.dubai['train']['metainfo']

labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root + 'dubai',
    ann_file=labelled_list,
    metainfo=metainfo,
    pipeline=_base_.labelled_pipeline,
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root + 'dubai',
    ann_file=unlabelled_list,
    pipeline=_base_.unlabelled_pipeline,
)
train_dataloader = dict(dataset=dict(sources=dict(sup=labelled, unsup=unlabelled)))
val_dataloader = dict(
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root + 'dubai',
        ann_file=f'{splits}/test.txt',
        metainfo=metainfo,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader
