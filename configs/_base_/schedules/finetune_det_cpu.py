# finetune_det.py for a small ViT and a CPU: a larger learning rate for few steps, a
# shorter warm-up, tighter clipping.
_base_ = ['./finetune_det.py']
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=5))
warmup, steps = _base_.param_scheduler
warmup['end'] = 100
param_scheduler = [warmup, steps]
train_cfg = dict(val_interval=4)
