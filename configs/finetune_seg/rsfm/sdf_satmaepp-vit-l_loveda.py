# SatMAE++ (Table 1): ViT-L for RGB.
_base_ = ['../sdf_vit-l_loveda.py']
load_from = 'pretrained/satmaepp_vit-l_rgb.pth'
