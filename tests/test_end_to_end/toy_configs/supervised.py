# The supervised-only twin of fixmatch.py: same labelled scenes, same augmentation,
# same number of iterations from the same initial model.
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
custom_hooks = []  # no pseudo-labels to watch
