# Oriented R-CNN of ViT-B for DOTA-v2 (patches of 1024 px, tools/dataset_converters/
# dota_split.py), from S4P weights.  DOTA-v2's test labels are not published:
#   python tools/test.py configs/finetune_det/orcnn_vit-b_dotav2.py CHECKPOINT --out DIR
# merges the patches and writes the archive for its server.
_base_ = [
    '../_base_/models/orcnn_vit-b.py',
    '../_base_/datasets/multi_dataset_det.py',
    '../_base_/datasets/dotav2.py',
    '../_base_/schedules/finetune_det.py',
    '../_base_/tta_det.py',
    '../_base_/default_runtime_det.py',
]
own = _base_.dotav2
model = dict(roi_head=dict(bbox_head=own['model']))
train_dataloader = dict(dataset=dict(sources=dict(dotav2=own['train'])))
val_dataloader = dict(dataset=dict(sources=dict(dotav2=own['val'])))
val_evaluator = dict(metrics=dict(dotav2=own['metric']))
test_dataloader = dict(
    _base_.test_dataloader, dataset=dict(sources=dict(dotav2=own['test']))
)
test_evaluator = dict(metrics=dict(dotav2=own['test_metric']))
auto_scale_lr = dict(enable=False, base_batch_size=8)  # 4 x 2
load_from = 'pretrained/vit_b_s4p.pth'
