# MDF of ViT-H; see mdf_vit-b.py.
_base_ = ['./mdf_vit-b.py']
model = dict(backbone=dict(arch='h'))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
