# MTP (Table 1): ViT-L with rotated varied-size windows, multi-task pre-training.
_base_ = ['../orcnn_vit-l_diorr.py']
model = dict(backbone=dict(type='s5_mm.ViTRVSA'))
load_from = 'pretrained/mtp_vit-l_rvsa.pth'
