# Detection runs in mmrotate's scope; what is ours is written type='s5_mm.X'.
_base_ = ['./default_runtime.py']
default_scope = 'mmrotate'
visualizer = dict(
    type='RotLocalVisualizer', vis_backends=_base_.vis_backends, name='visualizer'
)
default_hooks = dict(
    checkpoint=dict(save_best='average', rule='greater'),
    visualization=dict(type='s5_mm.BoxPanelHook'),
)
