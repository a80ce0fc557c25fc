# SelectiveMAE (Table 1): ViT-L.
_base_ = ['../orcnn_vit-l_diorr.py']
load_from = 'pretrained/selectivemae_vit-l.pth'
