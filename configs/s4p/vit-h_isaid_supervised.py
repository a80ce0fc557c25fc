# The supervised-only twin of vit-h_rs4p1m.py.
_base_ = ['./vit-b_isaid_supervised.py']
pretrained = 'pretrained/vit-h-mae-checkpoint-1599.pth'
model = dict(
    segmentor=dict(
        backbone=dict(arch='h', init_cfg=dict(checkpoint=pretrained)),
    )
)
