# MoE-MDF of ViT-H; see moe-mdf_vit-b.py.
_base_ = ['./moe-mdf_vit-b.py']
model = dict(backbone=dict(arch='h'), decode_head=dict(in_channels=[1280] * 4))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
