# SDF of ViT-H for OpenEarthMap; see sdf_vit-b_openearthmap.py.
_base_ = ['./sdf_vit-b_openearthmap.py']
model = dict(backbone=dict(arch='h'))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
