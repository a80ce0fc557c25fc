# SDF of ViT-H for Vaihingen; see sdf_vit-b_vaihingen.py.
_base_ = ['./sdf_vit-b_vaihingen.py']
model = dict(backbone=dict(arch='h'))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
