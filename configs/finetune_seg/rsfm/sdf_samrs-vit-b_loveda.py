# SAMRS (Table 1): the same network, pre-trained on SAMRS.
_base_ = ['../sdf_vit-b_loveda.py']
model = dict(backbone=dict(type='s5_mm.ViTRVSA'))
load_from = 'pretrained/samrs_vit-b_rvsa.pth'
