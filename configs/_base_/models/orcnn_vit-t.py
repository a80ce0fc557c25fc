# Oriented R-CNN for a laptop CPU: ViT of 6 layers and width 192 with patches of 8 px
# (configs/s4p/vit-t_dubai.py), narrower pyramid and heads, fewer proposals.
_base_ = ['./orcnn_vit-b.py']
model = dict(
    backbone=dict(arch='t', img_size=128, patch_size=8),
    # Without a norm the losses of the heads rose in trials at the learning rates that
    # few steps need.
    neck=dict(
        in_channels=[192] * 4,
        out_channels=128,
        norm_cfg=dict(type='GN', num_groups=16, requires_grad=True),
    ),
    rpn_head=dict(
        in_channels=128,
        feat_channels=128,
        anchor_generator=dict(scales=[4]),  # many of its ships are small
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128),
        bbox_head=dict(in_channels=128, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=500),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=500)),
)
