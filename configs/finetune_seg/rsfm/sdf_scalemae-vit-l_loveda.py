# Scale-MAE (Table 1): ViT-L; its positions are computed when it is loaded.
_base_ = ['../sdf_vit-l_loveda.py']
load_from = 'pretrained/scalemae_vit-l.pth'
