# Segmentation runs in mmseg's scope; what is ours is written type='s5_mm.X'.
_base_ = ['./default_runtime.py']
default_scope = 'mmseg'
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=_base_.vis_backends, name='visualizer'
)
tta_model = dict(type='SegTTAModel')
default_hooks = dict(
    checkpoint=dict(save_best='mIoU'),
    visualization=dict(type='s5_mm.SegPanelHook'),
)
