# SDF of ViT-L for Potsdam; see sdf_vit-b_potsdam.py.
_base_ = ['./sdf_vit-b_potsdam.py']
model = dict(backbone=dict(arch='l'))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
