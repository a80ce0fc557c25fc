# The supervised-only twin of vit-b_rs4p1m.py: same labelled images with the same
# augmentation, same steps, no unlabelled branch (Table 2, first row).
_base_ = ['./vit-b_rs4p1m.py']
model = dict(
    type='s5_mm.SemiBaseSegmentor',
    semi_train_cfg=dict(_delete_=True, sync_normalizer=True),
)
train_dataloader = dict(
    batch_size=12,
    sampler=dict(shares=[12]),
    dataset=dict(sources=dict(_delete_=True, sup=_base_.labelled)),
)
auto_scale_lr = dict(base_batch_size=96)  # 8 x 12
custom_hooks = []  # no pseudo-labels to watch
