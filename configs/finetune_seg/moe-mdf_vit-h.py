# MoE-MDF of ViT-H; see moe-mdf_vit-b.py.
_base_ = ['./moe-mdf_vit-b.py']
model = dict(backbone=dict(arch='h'))
load_from = 'pretrained/vit_h_s4p_upernet.pth'
