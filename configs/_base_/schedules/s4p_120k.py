# Schedule of the S5 release: 120k iterations of 8 x (12 + 12) images.
# 120,000 it x 96 unlabelled / 1,000,000 = 11.5 passes over RS4P-1M.
max_iters = 120_000
optim_wrapper = dict(
    type='s5_mm.AmpOptimWrapper',
    # bf16 where the device has it; the release: fp16 with loss scaling, fp32 teacher.
    dtype='auto',
    optimizer=dict(
        type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True
    ),
)
# Cosine to zero over the whole run, every iteration, no warm-up.
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters,
        eta_min=0.0,
        begin=0,
        end=max_iters,
        by_epoch=False,
    )
]
train_cfg = dict(type='s5_mm.ResumableIterLoop', max_iters=max_iters, val_interval=2000)
val_cfg = dict(type='s5_mm.StudentTeacherValLoop')
test_cfg = dict(type='s5_mm.StudentTeacherTestLoop')
# 8 GPUs x (12 labelled + 12 unlabelled).
auto_scale_lr = dict(enable=False, base_batch_size=192)
