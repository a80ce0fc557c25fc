# Harbours with ships, a few images labelled and the rest of the training images not, by
# the lists of ../splits/hrsc_ships; the 80 validation images are the test and choose
# nothing.  Other lists, relative to the folder of the data or with full paths:
#   --cfg-options labelled_list=LIST unlabelled_list=LIST
_base_ = ['./hrsc_ships.py', './s4_split.py']
data_root = 'data/'
split_seed = 0
num_labelled = 5  # of 300; lists exist for 5, 10 and 20
splits = '{{ fileDirname }}/../splits/hrsc_ships'
labelled_list = f'{splits}/seed{split_seed}/labelled_{num_labelled}.txt'
unlabelled_list = f'{splits}/seed{split_seed}/unlabelled_{num_labelled}.txt'
metainfo = _base_.hrsc_ships['train']['metainfo']

labelled = dict(
    type='s5_mm.SegDataset',
    data_root=data_root + 'hrsc_ships',
    ann_file=labelled_list,
    metainfo=metainfo,
    pipeline=_base_.labelled_pipeline,
)
unlabelled = dict(
    type='s5_mm.UnlabelledDataset',
    data_root=data_root + 'hrsc_ships',
    ann_file=unlabelled_list,
    pipeline=_base_.unlabelled_pipeline,
)
train_dataloader = dict(dataset=dict(sources=dict(sup=labelled, unsup=unlabelled)))
val_dataloader = dict(
    dataset=dict(
        type='s5_mm.SegDataset',
        data_root=data_root + 'hrsc_ships',
        ann_file=f'{splits}/test.txt',
        metainfo=metainfo,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader
