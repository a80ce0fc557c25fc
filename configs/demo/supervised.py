# The supervised-only twin of fixmatch.py: same labelled scenes, augmentation and number
# of iterations.
_base_ = ['./fixmatch.py']
model = dict(
    type='s5_mm.SemiBaseSegmentor',
    semi_train_cfg=dict(_delete_=True, sync_normalizer=True),
)
train_dataloader = dict(
    batch_size=8,
    sampler=dict(shares=[8]),
    dataset=dict(sources=dict(_delete_=True, sup=_base_.labelled)),
)
auto_scale_lr = dict(base_batch_size=8)
custom_hooks = []  # no pseudo-labels to watch
