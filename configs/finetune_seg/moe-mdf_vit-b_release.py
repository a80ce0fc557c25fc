# What the S5 release does where it differs; weights of the release were trained so.
_base_ = ['./moe-mdf_vit-b.py']
norm_eps = 1e-5  # mmcv's default; MAE was trained with 1e-6
model = dict(
    backbone=dict(norm_eps=norm_eps),
    decode_head=dict(
        # Corners are aligned in the final upsampling only.
        align_corners=True,
        loss_decode=dict(sync_normalizer=False),  # each GPU divides by its own pixels
    ),
    datasets=dict(
        vaihingen=dict(start_iter=37_030),  # epoch 70 x 529 iterations
        # Windows at 0, 256, 512, 512, 512: the last one counts three times a side.
        loveda=dict(test_cfg=dict(windows=5)),
    ),
)
optim_wrapper = dict(
    dtype='float16',
    # Written, but never applied: layer decay.
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=None,
)
