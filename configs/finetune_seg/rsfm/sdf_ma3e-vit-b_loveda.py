# MA3E (Table 1): ViT-B.
_base_ = ['../sdf_vit-b_loveda.py']
load_from = 'pretrained/ma3e_vit-b.pth'
