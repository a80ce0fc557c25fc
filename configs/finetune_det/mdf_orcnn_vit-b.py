# MDF: one ViT-B for two data sets, an FPN, oriented RPN and RoI head for each, from S4P
# weights:
#   bash tools/dist_train.sh configs/finetune_det/mdf_orcnn_vit-b.py 4
_base_ = [
    '../_base_/models/mdf_orcnn_vit-b.py',
    '../_base_/datasets/multi_dataset_det.py',
    '../_base_/datasets/diorr.py',
    '../_base_/datasets/dotav2.py',
    '../_base_/schedules/finetune_det.py',
    '../_base_/tta_det.py',
    '../_base_/default_runtime_det.py',
]
datasets = dict(diorr=_base_.diorr, dotav2=_base_.dotav2)
model = dict(datasets={name: own['model'] for name, own in datasets.items()})
train_dataloader = dict(
    batch_size=4,  # 2 of each data set on each GPU, release
    dataset=dict(sources={name: own['train'] for name, own in datasets.items()}),
)
val_dataloader = dict(
    dataset=dict(sources={name: own['val'] for name, own in datasets.items()})
)
val_evaluator = dict(metrics={name: own['metric'] for name, own in datasets.items()})
test_dataloader = dict(
    dataset=dict(
        sources={name: own.get('test', own['val']) for name, own in datasets.items()}
    )
)
test_evaluator = dict(
    metrics={
        name: own.get('test_metric', own['metric']) for name, own in datasets.items()
    }
)
auto_scale_lr = dict(enable=False, base_batch_size=16)  # 4 x 4
load_from = 'pretrained/vit_b_s4p.pth'
