# SDF of ViT-L for Vaihingen; see sdf_vit-b_vaihingen.py.
_base_ = ['./sdf_vit-b_vaihingen.py']
model = dict(backbone=dict(arch='l'))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
