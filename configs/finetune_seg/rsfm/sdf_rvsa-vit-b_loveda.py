# RVSA (Table 1): ViT-B with rotated varied-size windows, MAE on MillionAID.
_base_ = ['../sdf_vit-b_loveda.py']
model = dict(backbone=dict(type='s5_mm.ViTRVSA'))
load_from = 'pretrained/rvsa_vit-b_mae.pth'
