# BillionFM (Table 1): a ViT of the size that Table 1 counts.  No weights are published.
_base_ = ['../orcnn_vit-b_diorr.py']
model = dict(
    backbone=dict(arch='g', with_cp=True),
    neck=dict(in_channels=[1408] * 4),
)
load_from = None
