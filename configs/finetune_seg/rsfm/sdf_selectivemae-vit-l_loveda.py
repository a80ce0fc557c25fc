# SelectiveMAE (Table 1): ViT-L.
_base_ = ['../sdf_vit-l_loveda.py']
load_from = 'pretrained/selectivemae_vit-l.pth'
