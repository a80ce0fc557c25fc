# BillionFM (Table 1): a ViT of the size that Table 1 counts.  No weights are published.
_base_ = ['../sdf_vit-b_loveda.py']
model = dict(
    backbone=dict(arch='g', with_cp=True),
)
load_from = None
