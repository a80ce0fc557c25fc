# SDF of ViT-H for Potsdam; see sdf_vit-b_potsdam.py.
_base_ = ['./sdf_vit-b_potsdam.py']
model = dict(backbone=dict(arch='h'))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
