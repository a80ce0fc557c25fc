# finetune_det.py for a small ViT and a CPU: the learning rate of its pre-training
# (configs/s4p/vit-t_dubai.py) for fewer steps, a shorter warm-up, tighter clipping.
_base_ = ['./finetune_det.py']
max_epochs = 24
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5))
warmup, steps = _base_.param_scheduler
warmup['end'] = 50
steps.update(milestones=[16, 22], end=max_epochs)
param_scheduler = [warmup, steps]
train_cfg = dict(max_epochs=max_epochs, val_interval=8)
