# MDF of oriented detection small enough for a laptop CPU: harbours (one class) and
# patches of eight images of DOTA (15 classes).  With the folder that holds hrsc_ships/
# and dota8/, from a random start or from a checkpoint of
# configs/s4p/vit-t_hrsc_labelled.py:
#   for split in train val; do
#     python tools/dataset_converters/dota_split.py FOLDER/dota8_512/$split \
#       --img-dirs FOLDER/dota8/$split/images --ann-dirs FOLDER/dota8/$split/annfiles \
#       --sizes 512 --gaps 128
#   done
#   python tools/train.py configs/finetune_det/mdf_orcnn_vit-t_hrsc-dota8.py \
#     --cfg-options data_root=FOLDER load_from=CHECKPOINT
_base_ = [
    '../_base_/models/mdf_orcnn_vit-t.py',
    '../_base_/datasets/multi_dataset_det.py',
    '../_base_/datasets/hrsc_ships_boxes.py',
    '../_base_/datasets/dota8.py',
    '../_base_/schedules/finetune_det_cpu.py',
    '../_base_/tta_det.py',
    '../_base_/default_runtime_det.py',
]
patches = 'data/dota8_512'
dota8 = dict(
    _base_.dota8,
    train=dict(_base_.dota8['train'], data_root=patches),
    val=dict(_base_.dota8['val'], data_root=patches),
)
datasets = dict(hrsc_ships=_base_.hrsc_ships_boxes, dota8=dota8)
model = dict(datasets={name: own['model'] for name, own in datasets.items()})
# Harbours as they are, patches of DOTA half as large: one size in training and test, so
# that position embeddings mean the same in both.
train_pipeline = _base_.train_pipeline
train_pipeline[3]['scale'] = (256, 256)
val_pipeline = _base_.val_pipeline
val_pipeline[1]['scale'] = (256, 256)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0][0]['scale'] = (256, 256)
train_dataloader = dict(
    batch_size=4,  # 2 of each
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        pipeline=train_pipeline,
        sources={name: own['train'] for name, own in datasets.items()},
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        pipeline=val_pipeline,
        sources={name: own['val'] for name, own in datasets.items()},
    ),
)
val_evaluator = dict(metrics={name: own['metric'] for name, own in datasets.items()})
test_dataloader = val_dataloader
test_evaluator = val_evaluator
# 6 epochs of 150 iterations, in which a patch of DOTA comes 16 times as often.
max_epochs = 6
warmup, steps = _base_.param_scheduler
steps.update(milestones=[4], end=max_epochs)
param_scheduler = [warmup, steps]
train_cfg = dict(max_epochs=max_epochs, val_interval=3)
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=300, max_keep_ckpts=1)
)
auto_scale_lr = dict(enable=False, base_batch_size=4)
