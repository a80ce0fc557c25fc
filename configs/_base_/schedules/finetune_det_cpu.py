# finetune_det.py for a small ViT and a CPU: a larger learning rate, more epochs of few
# images.
_base_ = ['./finetune_det.py']
max_epochs = 18
optim_wrapper = dict(optimizer=dict(lr=3e-4), clip_grad=dict(max_norm=5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=100, by_epoch=False),
    dict(
        type='MultiStepLR',
        milestones=[12, 16],  # as 8 and 11 of 12
        gamma=0.1,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=6)
