# MoE-MDF (Tables 1 and 3): mdf_vit-b.py with FFN-MoE in every block, 160.40 M
# parameters.
_base_ = ['./mdf_vit-b.py']
# Release, for every size of the ViT; 1/3 of ViT-B's width.
model = dict(backbone=dict(type='s5_mm.ViTMoE', part_features=256))
