# Fine-tuning of the S5 release: 12 epochs of the longer data set, 2 images of each data
# set on each of 4 GPUs.
optim_wrapper = dict(
    type='s5_mm.AmpOptimWrapper',
    # bf16 where the device has it; release: fp16, with loss scaling for ViT-B alone.
    dtype='auto',
    optimizer=dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05, fused=True
    ),
    clip_grad=dict(max_norm=35, norm_type=2),
    # The release writes 0.9 into its config and never applies it.
    constructor='s5_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.9),
)
max_epochs = 12
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False),
    dict(
        type='MultiStepLR',
        milestones=[8, 11],
        gamma=0.1,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
# An epoch is as long as the data set that takes longest to be seen once.
train_cfg = dict(type='s5_mm.ResumableIterLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
