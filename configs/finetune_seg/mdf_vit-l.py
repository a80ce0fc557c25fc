# MDF of ViT-L; see mdf_vit-b.py.
_base_ = ['./mdf_vit-b.py']
model = dict(backbone=dict(arch='l'), decode_head=dict(in_channels=[1024] * 4))
load_from = 'pretrained/vit_l_s4p_upernet.pth'
