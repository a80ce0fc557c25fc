# Oriented R-CNN small enough for a laptop CPU, on 300 real harbour images of 256 px.
# With the folder that holds hrsc_ships/, from a random start or from a checkpoint of
# configs/s4p/vit-t_hrsc_labelled.py:
#   python tools/train.py configs/finetune_det/orcnn_vit-t_hrsc.py \
#     --cfg-options data_root=FOLDER load_from=CHECKPOINT
_base_ = [
    '../_base_/models/orcnn_vit-t.py',
    '../_base_/datasets/multi_dataset_det.py',
    '../_base_/datasets/hrsc_ships_boxes.py',
    '../_base_/schedules/finetune_det_cpu.py',
    '../_base_/tta_det.py',
    '../_base_/default_runtime_det.py',
]
own = _base_.hrsc_ships_boxes
model = dict(roi_head=dict(bbox_head=own['model']))
# Images are 256 px.
train_pipeline = _base_.train_pipeline
train_pipeline[3]['scale'] = (256, 256)
val_pipeline = _base_.val_pipeline
val_pipeline[1]['scale'] = (256, 256)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0][0]['scale'] = (256, 256)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    pin_memory=False,
    dataset=dict(pipeline=train_pipeline, sources=dict(hrsc_ships=own['train'])),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(pipeline=val_pipeline, sources=dict(hrsc_ships=own['val'])),
)
val_evaluator = dict(metrics=dict(hrsc_ships=own['metric']))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=300, max_keep_ckpts=1)
)
auto_scale_lr = dict(enable=False, base_batch_size=4)
