# MDF of ViT-L; see mdf_vit-b.py.
_base_ = ['./mdf_vit-b.py']
model = dict(backbone=dict(arch='l'))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
