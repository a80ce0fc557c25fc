# SDF of ViT-L for Vaihingen; see sdf_vit-b_vaihingen.py.
_base_ = ['./sdf_vit-b_vaihingen.py']
model = dict(backbone=dict(arch='l'), decode_head=dict(in_channels=[1024] * 4))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
