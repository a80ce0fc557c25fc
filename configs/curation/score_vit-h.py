# Eq. 1 with ViT-H + UPerNet, the initial model of the paper, trained by
# configs/s4p/vit-h_isaid_supervised.py.
_base_ = ['./score_vit-b.py']
model = dict(
    segmentor=dict(
        backbone=dict(arch='h'),
    )
)
