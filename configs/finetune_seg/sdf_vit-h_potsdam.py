# SDF of ViT-H for Potsdam; see sdf_vit-b_potsdam.py.
_base_ = ['./sdf_vit-b_potsdam.py']
model = dict(backbone=dict(arch='h'), decode_head=dict(in_channels=[1280] * 4))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
