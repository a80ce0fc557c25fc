# GFM (Table 1): Swin-B.
_base_ = ['../orcnn_vit-b_diorr.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='s5_mm.SwinTransformer',
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=7,
        drop_path_rate=0.3,
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
load_from = 'pretrained/gfm_swin-b.pth'
