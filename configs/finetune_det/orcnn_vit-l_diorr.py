# Oriented R-CNN of ViT-L; see orcnn_vit-b_diorr.py.
_base_ = ['./orcnn_vit-b_diorr.py']
model = dict(
    backbone=dict(arch='l'),
    neck=dict(in_channels=[1024] * 4),
)
load_from = 'pretrained/vit_l_s4p.pth'
