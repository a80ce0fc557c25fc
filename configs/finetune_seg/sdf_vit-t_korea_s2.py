# SDF on a laptop CPU; see mdf_vit-t_dubai-korea-hrsc.py.
_base_ = ['./mdf_vit-t_dubai-korea-hrsc.py']
own = _base_.korea_s2
model = dict(datasets=dict(_delete_=True, korea_s2=own.model))
train_dataloader = dict(
    batch_size=4,
    dataset=dict(sources=dict(_delete_=True, korea_s2=own.train)),
)
val_dataloader = dict(dataset=dict(sources=dict(_delete_=True, korea_s2=own.val)))
val_evaluator = dict(metrics=dict(_delete_=True, korea_s2=own.metric))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=4)
