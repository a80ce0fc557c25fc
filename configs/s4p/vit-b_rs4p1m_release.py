# What the S5 release does where it differs from the paper's equations.
_base_ = ['./vit-b_rs4p1m.py']
model = dict(
    segmentor=dict(
        backbone=dict(norm_eps=1e-5),  # mmcv's default; MAE was trained with 1e-6
        # Corners are aligned in the final upsampling only.
        decode_head=dict(align_corners=True),
    ),
    # The CutMix partner is a second random view of the same image.
    data_preprocessor=dict(mix_source='unsup_mix'),
    semi_train_cfg=dict(
        average_losses=True,  # (L_s + L_u) / 2
        sync_normalizer=False,  # each GPU divides by its own pixels
    ),
)
# No rotation in the weak view.
weak = dict(
    type='s5_mm.RandomGeometry',
    crop_size=(512, 512),
    scale=(0.5, 2.0),
    flip_prob=0.5,
    rotate90=False,
)
load, pack = dict(type='s5_mm.LoadImage'), dict(type='s5_mm.PackSample')
labelled = dict(pipeline=[load, dict(type='s5_mm.LoadMask'), weak, pack])
unlabelled = dict(pipeline=[load, weak, pack])
train_dataloader = dict(
    batch_size=36,
    sampler=dict(shares=[12, 12, 12], follows=[None, None, 1]),
    dataset=dict(
        sources=dict(
            sup=labelled,
            unsup=unlabelled,
            unsup_mix='unsup',  # the same images with other draws
        )
    ),
)
optim_wrapper = dict(dtype='float16')
auto_scale_lr = dict(base_batch_size=288)  # 8 x 36
