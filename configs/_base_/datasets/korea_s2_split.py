# Sentinel-2 scenes of Korea, 3 of 15 labelled and the others not, by the lists of
# ../splits/korea_s2; the 5 validation scenes are the test and choose nothing.  Other
# lists: labelled_list and unlabelled_list in --cfg-options.
_base_ = ['./korea_s2.py', './s4_split.py']
data_root = 'data/'
split_seed = 0
num_labelled = 3  # of 15
splits = '{{ fileDirname }}/../splits/korea_s2'
labelled_list = f'{splits}/seed{split_seed}/labelled_{num_labelled}.txt'
unlabelled_list = f'{splits}/seed{split_seed}/unlabelled_{num_labelled}.txt'
metainfo = _base_.korea_s2['train']['metainfo']

labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root + 'korea_s2',
    ann_file=labelled_list,
    metainfo=metainfo,
    pipeline=_base_.labelled_pipeline,
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root + 'korea_s2',
    ann_file=unlabelled_list,
    pipeline=_base_.unlabelled_pipeline,
)
train_dataloader = dict(dataset=dict(sources=dict(sup=labelled, unsup=unlabelled)))
val_dataloader = dict(
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root + 'korea_s2',
        ann_file=f'{splits}/test.txt',
        metainfo=metainfo,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader
