# Oriented R-CNN of ViT-B for DIOR-R, from S4P weights:
#   bash tools/dist_train.sh configs/finetune_det/orcnn_vit-b_diorr.py 4
_base_ = [
    '../_base_/models/orcnn_vit-b.py',
    '../_base_/datasets/multi_dataset_det.py',
    '../_base_/datasets/diorr.py',
    '../_base_/schedules/finetune_det.py',
    '../_base_/tta_det.py',
    '../_base_/default_runtime_det.py',
]
own = _base_.diorr
model = dict(roi_head=dict(bbox_head=own['model']))
train_dataloader = dict(dataset=dict(sources=dict(diorr=own['train'])))
val_dataloader = dict(dataset=dict(sources=dict(diorr=own['val'])))
val_evaluator = dict(metrics=dict(diorr=own['metric']))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
auto_scale_lr = dict(enable=False, base_batch_size=8)  # 4 x 2
load_from = 'pretrained/vit_b_s4p.pth'
