# Scale-MAE (Table 1): ViT-L; its positions are computed when it is loaded.
_base_ = ['../orcnn_vit-l_diorr.py']
load_from = 'pretrained/scalemae_vit-l.pth'
