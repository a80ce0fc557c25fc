# MoE-MDF of ViT-L; see moe-mdf_orcnn_vit-b.py.
_base_ = ['./moe-mdf_orcnn_vit-b.py']
model = dict(
    backbone=dict(arch='l'),
    detector=dict(neck=dict(in_channels=[1024] * 4)),
)
load_from = 'pretrained/vit_l_s4p.pth'
