# The supervised-only twin of vit-l_rs4p1m.py.
_base_ = ['./vit-b_isaid_supervised.py']
pretrained = 'pretrained/vit-l-mae-checkpoint-1599.pth'
model = dict(
    segmentor=dict(
        backbone=dict(arch='l', init_cfg=dict(checkpoint=pretrained)),
    )
)
