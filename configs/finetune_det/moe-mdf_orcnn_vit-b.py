# MoE-MDF (Table 1): mdf_orcnn_vit-b.py with FFN-MoE in every block, 138.28 M
# parameters.
_base_ = ['./mdf_orcnn_vit-b.py']
# Release, for every size of the ViT; 1/3 of ViT-B's width.
model = dict(backbone=dict(type='s5_mm.ViTMoE', part_features=256))
