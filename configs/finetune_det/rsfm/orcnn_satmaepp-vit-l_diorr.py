# SatMAE++ (Table 1): ViT-L for RGB.
_base_ = ['../orcnn_vit-l_diorr.py']
load_from = 'pretrained/satmaepp_vit-l_rgb.pth'
