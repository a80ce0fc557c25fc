# Fine-tuning of the S5 release: 100 epochs of its longest data set (Potsdam, 12,696
# tiles) on 2 GPUs x 12 images of each data set: 529 x 100 iterations.
max_iters = 52_900
optim_wrapper = dict(
    type='s5_mm.AmpOptimWrapper',
    dtype='auto',  # bf16 where the device has it; release: fp16 with loss scaling
    optimizer=dict(
        type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.05, fused=True
    ),
    # The release writes 0.9 into its config and never applies it.
    constructor='s5_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
)
# Cosine to zero, no warm-up; the release steps it once an epoch.
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
# Every 10 epochs (release: every epoch).
train_cfg = dict(type='s5_mm.ResumableIterLoop', max_iters=max_iters, val_interval=5290)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
