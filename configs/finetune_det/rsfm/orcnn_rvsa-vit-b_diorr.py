# RVSA (Table 1): ViT-B with rotated varied-size windows, MAE on MillionAID.
_base_ = ['../orcnn_vit-b_diorr.py']
model = dict(backbone=dict(type='s5_mm.ViTRVSA'))
load_from = 'pretrained/rvsa_vit-b_mae.pth'
