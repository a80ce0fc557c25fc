# SDF of ViT-L for LoveDA; see sdf_vit-b_loveda.py.
_base_ = ['./sdf_vit-b_loveda.py']
model = dict(backbone=dict(arch='l'))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
