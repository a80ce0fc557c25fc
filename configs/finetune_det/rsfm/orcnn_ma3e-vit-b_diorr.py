# MA3E (Table 1): ViT-B.
_base_ = ['../orcnn_vit-b_diorr.py']
load_from = 'pretrained/ma3e_vit-b.pth'
