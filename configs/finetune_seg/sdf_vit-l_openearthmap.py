# SDF of ViT-L for OpenEarthMap; see sdf_vit-b_openearthmap.py.
_base_ = ['./sdf_vit-b_openearthmap.py']
model = dict(backbone=dict(arch='l'))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
