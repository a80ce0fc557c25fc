# The initial model of the demo: supervised from a random start.  From a cold start no
# pseudo-label is confident, and the unlabelled branch learns nothing.
_base_ = ['./supervised.py']
max_iters = 800
optim_wrapper = dict(optimizer=dict(lr=3e-3))
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
train_cfg = dict(max_iters=max_iters, val_interval=200)
