# SDF of ViT-H for LoveDA; see sdf_vit-b_loveda.py.
_base_ = ['./sdf_vit-b_loveda.py']
model = dict(backbone=dict(arch='h'))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
