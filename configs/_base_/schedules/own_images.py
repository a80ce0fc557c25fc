# 400 iterations of a small model from a random start: minutes on two cores
# (docs/first_model.md); another length: --cfg-options max_iters=1000.  A leaf with more
# of them sets T_max, end, max_iters and the two intervals.
_base_ = ['../default_runtime_seg.py']
max_iters = 400
warm_up = min(50, max_iters // 2)
optim_wrapper = dict(
    type='s5_mm.AmpOptimWrapper',
    dtype='auto',  # bf16 where the device computes in it, else fp32
    # The learning rate of configs/s4p/vit-t_dubai.py.
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
train_cfg = dict(
    type='s5_mm.ResumableIterLoop',
    max_iters=max_iters,
    val_interval=max(1, max_iters // 4),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
val_cfg = dict(type='s5_mm.StudentTeacherValLoop')
test_cfg = dict(type='s5_mm.StudentTeacherTestLoop')
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max(1, max_iters // 4), max_keep_ckpts=1),
)
