# MoE-MDF on a laptop CPU; see mdf_vit-t_dubai-korea-hrsc.py.
_base_ = ['./mdf_vit-t_dubai-korea-hrsc.py']
# 1/3 of the width of ViT-T, the ratio of the release's ViT-B.
model = dict(backbone=dict(type='s5_mm.ViTMoE', part_features=64))
