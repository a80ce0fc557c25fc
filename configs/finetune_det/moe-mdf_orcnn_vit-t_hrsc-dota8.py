# MoE-MDF on a laptop CPU; see mdf_orcnn_vit-t_hrsc-dota8.py.
_base_ = ['./mdf_orcnn_vit-t_hrsc-dota8.py']
# 1/3 of the width of ViT-T, the ratio of the release's ViT-B.
model = dict(backbone=dict(type='s5_mm.ViTMoE', part_features=64))
