# SDF (Table 3): a ViT-B for LoveDA alone; the same path as mdf_vit-b.py.
_base_ = ['./mdf_vit-b.py']
own = _base_.loveda
model = dict(datasets=dict(_delete_=True, loveda=own.model))
train_dataloader = dict(
    batch_size=12,
    dataset=dict(sources=dict(_delete_=True, loveda=own.train)),
)
val_dataloader = dict(dataset=dict(sources=dict(_delete_=True, loveda=own.val)))
val_evaluator = dict(
    metrics=dict(_delete_=True, loveda=own.metric), headline=dict(_delete_=True)
)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
# 120 epochs (paper's earlier draft) of 2,522 images in batches of 24.
max_iters = 12_600
train_cfg = dict(max_iters=max_iters, val_interval=2100)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=2100))
auto_scale_lr = dict(base_batch_size=24)  # 2 x 12
