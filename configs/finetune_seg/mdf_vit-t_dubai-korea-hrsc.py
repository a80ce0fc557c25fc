# MDF small enough for a laptop CPU, on real imagery with three label spaces, one of
# them GeoTIFF.  With the folder that holds dubai/, korea_s2/ and hrsc_ships/, from a
# random start or from a checkpoint of configs/s4p/vit-t_dubai.py:
#   python tools/train.py configs/finetune_seg/mdf_vit-t_dubai-korea-hrsc.py \
#     --cfg-options data_root=FOLDER load_from=CHECKPOINT
_base_ = [
    '../_base_/models/mdf_upernet_vit-b.py',
    '../_base_/datasets/multi_dataset.py',
    '../_base_/datasets/dubai.py',
    '../_base_/datasets/korea_s2.py',
    '../_base_/datasets/hrsc_ships.py',
    '../_base_/schedules/finetune_seg.py',
    '../_base_/default_runtime_seg.py',
]
datasets = dict(
    dubai=_base_.dubai, korea_s2=_base_.korea_s2, hrsc_ships=_base_.hrsc_ships
)
crop_size = (128, 128)
max_iters = 300
model = dict(
    backbone=dict(arch='t', img_size=128, patch_size=8),
    decode_head=dict(channels=64),
    datasets={name: own['model'] for name, own in datasets.items()},
)
train_dataloader = dict(
    batch_size=12,  # 4 of each
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        sources={name: own['train'] for name, own in datasets.items()},
        pipeline=[
            dict(type='s5_mm.LoadImage'),
            dict(type='s5_mm.LoadMask'),
            dict(
                type='s5_mm.RandomGeometry',
                crop_size=crop_size,
                scale=(0.5, 2.0),
                flip_prob=0.5,
                rotate90=True,
            ),
            dict(type='s5_mm.PackSample'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(sources={name: own['val'] for name, own in datasets.items()}),
)
val_evaluator = dict(metrics={name: own['metric'] for name, own in datasets.items()})
test_dataloader = val_dataloader
test_evaluator = val_evaluator
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.01),  # as configs/s4p/vit-t_dubai.py
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters - 30,
        begin=30,
        end=max_iters,
        by_epoch=False,
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=300)
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(
        interval=150, max_keep_ckpts=1, save_best='average', rule='greater'
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=12)
