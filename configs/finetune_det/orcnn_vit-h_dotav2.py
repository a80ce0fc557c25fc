# Oriented R-CNN of ViT-H; see orcnn_vit-b_dotav2.py.
_base_ = ['./orcnn_vit-b_dotav2.py']
model = dict(
    backbone=dict(arch='h', with_cp=True),  # release
    neck=dict(in_channels=[1280] * 4),
)
load_from = 'pretrained/vit_h_s4p.pth'
