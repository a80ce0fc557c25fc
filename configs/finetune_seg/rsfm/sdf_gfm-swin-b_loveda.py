# GFM (Table 1): Swin-B.
_base_ = ['../sdf_vit-b_loveda.py']
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
)
load_from = 'pretrained/gfm_swin-b.pth'
