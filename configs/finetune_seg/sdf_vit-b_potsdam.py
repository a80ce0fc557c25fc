# SDF (Table 3): a ViT-B for Potsdam alone; the same path as mdf_vit-b.py.
_base_ = ['./mdf_vit-b.py']
own = _base_.potsdam
model = dict(datasets=dict(_delete_=True, potsdam=own.model))
train_dataloader = dict(
    batch_size=12,
    dataset=dict(sources=dict(_delete_=True, potsdam=own.train)),
)
val_dataloader = dict(dataset=dict(sources=dict(_delete_=True, potsdam=own.val)))
val_evaluator = dict(metrics=dict(_delete_=True, potsdam=own.metric))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
# 75 epochs (paper's earlier draft) of 12,696 tiles in batches of 24.
max_iters = 39_675
train_cfg = dict(max_iters=max_iters, val_interval=5290)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=5290))
auto_scale_lr = dict(base_batch_size=24)  # 2 x 12
