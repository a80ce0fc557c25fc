# MDF (Table 3): one ViT-B for four data sets, a decoder for each, from S4P weights:
#   bash tools/dist_train.sh configs/finetune_seg/mdf_vit-b.py 2
_base_ = [
    '../_base_/models/mdf_upernet_vit-b.py',
    '../_base_/datasets/multi_dataset.py',
    '../_base_/datasets/vaihingen.py',
    '../_base_/datasets/potsdam.py',
    '../_base_/datasets/openearthmap.py',
    '../_base_/datasets/loveda.py',
    '../_base_/schedules/finetune_seg.py',
    '../_base_/default_runtime_seg.py',
]
datasets = dict(
    vaihingen=_base_.vaihingen,
    potsdam=_base_.potsdam,
    openearthmap=_base_.openearthmap,
    loveda=_base_.loveda,
)
model = dict(datasets={name: own['model'] for name, own in datasets.items()})
train_dataloader = dict(
    batch_size=48,  # 12 of each data set on each GPU, release
    dataset=dict(sources={name: own['train'] for name, own in datasets.items()}),
)
val_dataloader = dict(
    dataset=dict(sources={name: own['val'] for name, own in datasets.items()})
)
val_evaluator = dict(
    metrics={name: own['metric'] for name, own in datasets.items()},
    headline=dict(potsdam='mF1'),  # as the paper reports it
)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
default_hooks = dict(
    checkpoint=dict(interval=5290, save_best='average', rule='greater')
)
auto_scale_lr = dict(enable=False, base_batch_size=96)  # 2 x 48
load_from = 'pretrained/vit_b_s4p_upernet.pth'  # backbone and decoder of S4P
