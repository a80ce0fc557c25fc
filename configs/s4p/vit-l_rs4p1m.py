# S4P of ViT-L, the paper's middle size; see vit-b_rs4p1m.py.
_base_ = ['./vit-b_rs4p1m.py']
pretrained = 'pretrained/vit-l-mae-checkpoint-1599.pth'
model = dict(
    segmentor=dict(
        backbone=dict(arch='l', init_cfg=dict(checkpoint=pretrained)),
    )
)
