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
        # Ships are small; two sizes a level, so that anchors lie close to all of them.
        anchor_generator=dict(scales=[4, 5.66]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128),
        bbox_head=dict(in_channels=128, fc_out_channels=256),
    ),
    train_cfg=dict(
        # At 0.7 and 256 samples a few positives an image carry the regression, which
        # hardly learns: eight images by heart reach 9 AP07 in 200 iterations, so 29
        # (docs/lab/results.md).
        rpn=dict(
            assigner=dict(pos_iou_thr=0.5),
            sampler=dict(num=64, neg_pos_ub=3),
        ),
        rpn_proposal=dict(nms_pre=500, max_per_img=500),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=500)),
)
