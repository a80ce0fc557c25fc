# A short schedule for few labels and a pre-trained start, minutes on a laptop CPU.
_base_ = ['../default_runtime_seg.py']
max_iters = 400
warm_up = min(30, max_iters // 2)
optim_wrapper = dict(
    # fp32: depthwise convolutions are slower in bf16, even on a CPU with avx512_bf16.
    # On a GPU type='s5_mm.AmpOptimWrapper', dtype='auto'.
    type='s5_mm.OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5.0),
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
train_cfg = dict(
    type='s5_mm.ResumableIterLoop', max_iters=max_iters, val_interval=max_iters // 2
)
val_cfg = dict(type='s5_mm.StudentTeacherValLoop')
test_cfg = dict(type='s5_mm.StudentTeacherTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=25),
    checkpoint=dict(interval=max_iters // 2, max_keep_ckpts=1),
)
# Of the FPN only the finest map is used.
model_wrapper_cfg = dict(find_unused_parameters=True)
custom_hooks = [
    dict(type='s5_mm.PseudoLabelStatsHook', interval=25),
    dict(type='s5_mm.PseudoLabelVisHook', interval=max_iters // 4),
]
