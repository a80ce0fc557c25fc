# S4P of ViT-H, 663 M parameters; see vit-b_rs4p1m.py.
_base_ = ['./vit-b_rs4p1m.py']
pretrained = 'pretrained/vit-h-mae-checkpoint-1599.pth'
model = dict(
    segmentor=dict(
        backbone=dict(arch='h', init_cfg=dict(checkpoint=pretrained)),
    )
)
