# S4P small enough for a laptop CPU, on real imagery: ViT of 6 layers and width 192,
# 128-px crops, random start.  With the folder that holds dubai/ and oam_tiles/:
#   python tools/train.py configs/s4p/vit-t_dubai.py --cfg-options data_root=FOLDER
_base_ = [
    '../_base_/models/fixmatch_upernet_vit-b.py',
    '../_base_/datasets/dubai_oam.py',
    '../_base_/default_runtime_seg.py',
]
max_iters = 600
warm_up = min(50, max_iters // 2)
model = dict(
    segmentor=dict(
        backbone=dict(arch='t', img_size=128, patch_size=8),
        decode_head=dict(channels=64, num_classes=5),
        test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(128, 128)),
    ),
    semi_train_cfg=dict(burn_in=1 / 3),  # from a random start labels come first
)
optim_wrapper = dict(
    type='s5_mm.AmpOptimWrapper',
    dtype='auto',  # bf16 where the device has it, such as a CPU with avx512_bf16
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01, fused=True),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=warm_up, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters - warm_up,
        begin=warm_up,
        end=max_iters,
        by_epoch=False,
    ),
]
train_cfg = dict(type='s5_mm.ResumableIterLoop', max_iters=max_iters, val_interval=300)
val_cfg = dict(type='s5_mm.StudentTeacherValLoop')
test_cfg = dict(type='s5_mm.StudentTeacherTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=25), checkpoint=dict(interval=300, max_keep_ckpts=1)
)
custom_hooks = [
    dict(type='s5_mm.PseudoLabelStatsHook', interval=25),
    dict(type='s5_mm.PseudoLabelVisHook', interval=150),
]
