# What the S5 release does where it differs; weights of the release were trained so.
_base_ = ['./moe-mdf_orcnn_vit-b.py']
# Position embedding of its 1024-px images (140.64 M parameters), and mmcv's epsilon;
# MAE was trained with 1e-6.
model = dict(
    backbone=dict(img_size=1024, norm_eps=1e-5, with_cp=True),
    # Upright proposals have +90 degrees, where le90 has -90.
    detector=dict(rpn_head=dict(type='s5_mm.OrientedRPNHead')),
)
optim_wrapper = dict(
    dtype='float16',
    # Written, but never applied: layer decay.  Applied: no decay of pos_embed.
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, custom_keys={'pos_embed': dict(decay_mult=0.0)}),
)
