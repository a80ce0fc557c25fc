# BillionFM (Table 1): a ViT of the size that Table 1 counts.  No weights are published.
_base_ = ['../sdf_vit-b_loveda.py']
model = dict(
    backbone=dict(arch='g', with_cp=True),
    decode_head=dict(in_channels=[1408] * 4),
)
load_from = None
