# MDF of ViT-H; see mdf_orcnn_vit-b.py.
_base_ = ['./mdf_orcnn_vit-b.py']
model = dict(
    backbone=dict(arch='h', with_cp=True),  # release
    detector=dict(neck=dict(in_channels=[1280] * 4)),
)
load_from = 'pretrained/vit_h_s4p.pth'
